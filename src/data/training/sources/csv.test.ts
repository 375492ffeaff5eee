import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { dsvFormat } from "d3-dsv"
import { afterAll, beforeAll, expect, test, vi } from "vitest"
import { Random } from "../../../core/arrays/random.ts"
import { UserError } from "../../../core/errors.ts"
import { listCsv } from "./csv.ts"

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "csv-"))
  vi.stubEnv("XDG_CACHE_HOME", join(folder, "cache"))
})
afterAll(async () => {
  vi.unstubAllEnvs()
  await rm(folder, { recursive: true })
})

/** Path and caption of every row. */
async function rowsOf(text: string | Uint8Array, separator?: string): Promise<[string, string][]> {
  const path = join(folder, "pairs.csv")
  await writeFile(path, text)
  const list = await listCsv(path, separator === undefined ? {} : { separator })
  return Array.from({ length: list.count }, (_, i) => {
    const location = list.location(i) as { path: string; captions: readonly string[] }
    return [location.path.slice(folder.length + 1), location.captions[0]!]
  })
}

function messageOf(text: string | Uint8Array): Promise<string> {
  return rowsOf(text).then(
    () => "none",
    (error: unknown) => {
      expect(error).toBeInstanceOf(UserError)
      return (error as UserError).message
    },
  )
}

test("rows equal those of d3-dsv, whatever is in the cells", async () => {
  const random = new Random(1)
  for (let round = 0; round < 200; round++) {
    const lineEnd = random.pick(["\n", "\r\n", "\r"])
    const rows = Array.from({ length: 1 + random.int(8) }, (_, i) => [`${i}.jpg`, cellOf(random)])
    const text = [["filepath", "title"], ...rows].map((row) => row.join()).join(lineEnd)
    const whole = `${text}${lineEnd.repeat(random.int(3))}`
    const [, ...expected] = dsvFormat(",").parseRows(whole.replace(/[\r\n]+$/, ""))
    expect(await rowsOf(whole), JSON.stringify(whole)).toEqual(expected)
    expect(expected).toHaveLength(rows.length)
  }
})

/** Quoted, with line ends, separators and quotes; or plain, with quotes that open nothing. */
function cellOf(random: Random): string {
  const letters = Array.from({ length: random.int(12) }, () => random.pick(["a", '"', ",", "\n", "\n\n", "\r\n", "é"]))
  if (random.chance(0.5)) return `"${letters.join("").replaceAll('"', '""')}"`
  return `a${letters.filter((letter) => letter === "a" || letter === '"').join("")}`
}

test("a byte order mark does not belong to the first column's name; empty rows are passed over and counted", async () => {
  expect(await rowsOf("\ufefffilepath\ttitle\n0.jpg\tone\n\n\r\n")).toEqual([["0.jpg", "one"]])
  for (const lineEnd of ["\n", "\r\n", "\r"]) {
    const lines = ["", "filepath,title", "", "0.jpg,one", "", "", " , ", "1.jpg,two", ""]
    expect(await rowsOf(lines.join(lineEnd))).toEqual([["0.jpg", "one"], ["1.jpg", "two"]]) // biome-ignore format: rows
    expect(await messageOf([...lines, "2.jpg"].join(lineEnd))).toMatch(/row 10 has 1 cells, and the head has 2$/)
    expect(await messageOf([...lines, '2.jpg,"x', "y"].join(lineEnd))).toMatch(
      /row 10: the quote of a cell is not closed/,
    )
  }
})

test("Excel's line about the separator is not the head, and counts as a row", async () => {
  for (const line of ["sep=;", '"sep=;"', "SEP=;"]) {
    expect(await rowsOf(`${line}\r\nfilepath;title\r\n0.jpg;a, b\r\n`)).toEqual([["0.jpg", "a, b"]])
  }
  expect(await messageOf("sep=;\nfilepath;title\n0.jpg;a\n1.jpg;b;c")).toMatch(/row 4 has 3 cells, and the head has 2$/)
  expect(await rowsOf("sep=\t\nfilepath\ttitle\n0.jpg\ta", "\t")).toEqual([["0.jpg", "a"]])
})

test.each([
  ["utf16le", Buffer.from([0xff, 0xfe])],
  ["utf16be", Buffer.from([0xfe, 0xff])],
])("%s by its mark, longer than a piece", async (name, mark) => {
  const rows = Array.from({ length: 60_000 }, (_, i) => [`${i}.jpg`, `café ${i} 🦋`] as [string, string])
  const bytes = Buffer.from(["filepath,title", ...rows.map((row) => row.join())].join("\r\n"), "utf16le")
  if (name === "utf16be") bytes.swap16()
  expect(await rowsOf(Buffer.concat([mark, bytes]))).toEqual(rows)
  expect(await messageOf(Buffer.concat([mark, bytes, Buffer.of(0)]))).toMatch(/pairs\.csv is not UTF-16/)
})

test("bytes that are not UTF-8 are refused with the line, wherever they are", async () => {
  const rows = Array.from({ length: 100_000 }, (_, i) => `${i}.jpg,a caption ${i}`)
  rows[70_000] = "70000.jpg,caf\xe9"
  const bytes = Buffer.from(["filepath,title", ...rows].join("\n"), "latin1")
  expect(await messageOf(bytes)).toMatch(/pairs\.csv, line 70002 is not UTF-8$/)
  expect(await messageOf(bytes.subarray(0, bytes.indexOf(0xe9) + 1))).toMatch(/pairs\.csv, line 70002 is not UTF-8$/)
})

test("a row that names a URL is refused; file:// is a path", async () => {
  expect(await messageOf("filepath,title\n0.jpg,one\nhttps://a.example/1.jpg,two\n")).toMatch(
    /row 3 names "https:\/\/a\.example\/1\.jpg", and pictures of a list are read from this machine$/,
  )
  expect(await rowsOf(`filepath,title\nfile://${folder}/0.jpg,one`)).toEqual([["0.jpg", "one"]])
})

test("a list written on Windows: its backslashes are separators where that finds the pictures", async () => {
  const text = "filepath,title\nimg\\0.jpg,one\nimg\\1.jpg,two\n"
  expect(await rowsOf(text)).toEqual([["img\\0.jpg", "one"], ["img\\1.jpg", "two"]]) // biome-ignore format: rows
  await mkdir(join(folder, "img"))
  await writeFile(join(folder, "img", "0.jpg"), "")
  expect(await rowsOf(text)).toEqual([["img/0.jpg", "one"], ["img/1.jpg", "two"]]) // biome-ignore format: rows
  expect((await listCsv(join(folder, "pairs.csv"), {})).notes).toEqual([expect.stringContaining("is read as /")])
  await writeFile(join(folder, "img\\0.jpg"), "")
  expect((await rowsOf(text))[0]).toEqual(["img\\0.jpg", "one"])
})

test("a quote that is not closed ends the reading, and not the memory", async () => {
  expect(await messageOf('filepath,title\n0.jpg,one\n1.jpg,"two\n2.jpg,three\n')).toMatch(
    /pairs\.csv, row 3: the quote of a cell is not closed within 1048576 letters \("1\.jpg,\\"two\\n2\.jpg,three"\)$/,
  )
  const started = process.cpuUsage()
  expect(await messageOf(`filepath,title\n0.jpg,"${"\na".repeat(4e6)}`)).toContain("is not closed within 1048576")
  expect(await messageOf(`filepath,title\n0.jpg,"${"\n".repeat(8e6)}x`)).toContain("is not closed within 1048576")
  expect(await messageOf(`filepath,title\n${"\n".repeat(8e6)}x`)).toContain("row 8000002 has 1 cells")
  // A search that began at each line end would take time with the square of their number.
  expect(process.cpuUsage(started).user / 1e6).toBeLessThan(10)
  expect(await messageOf(`filepath,title\n0.jpg,${"a".repeat(2 ** 26)}`)).toContain(
    "row 2 has more than 67108864 letters",
  )
})

test("an error lists some of many columns", async () => {
  const head = Array.from({ length: 100_000 }, (_, i) => `column${i}`).join()
  const message = await messageOf(`${head}\n1\n`)
  expect(message).toContain('has no column "filepath", only "column0", ')
  expect(message.length).toBeLessThan(1000)
})

test("rows across pieces of the file equal those of d3-dsv, and are found in any order", async () => {
  const random = new Random(2)
  for (const lineEnd of ["\n", "\r\n"]) {
    const rows = Array.from({ length: 40_000 }, (_, i) => {
      const blank = i % 5000 === 7 ? `"${lineEnd.repeat(3000)}""é""${lineEnd}"` : `"${"漢é".repeat(random.int(9))}""${lineEnd}""b, ${i}"`
      return [`class${i % 7}/${i}.jpg`, i % 3 === 0 ? blank : `plain ${i} 5" long ${"é".repeat(random.int(40))}`]
    }) // biome-ignore format: rows
    const text = [["filepath", "title"], ...rows].map((row) => row.join()).join(lineEnd)
    expect(Buffer.byteLength(text)).toBeGreaterThan(2 * 2 ** 20)
    const [, ...expected] = dsvFormat(",").parseRows(text)
    expect(await rowsOf(`${text}${lineEnd.repeat(2_000_000)}`)).toEqual(expected)
    const list = await listCsv(join(folder, "pairs.csv"), {})
    for (let round = 0; round < 1000; round++) {
      const i = random.int(list.count)
      const [image, caption] = expected[i]!
      expect(list.location(i)).toEqual({ kind: "file", path: join(folder, image!), captions: [caption] })
    }
    const broken = text.replace(`\n${rows[20_000]![0]}`, `\n${lineEnd}x${lineEnd}${rows[20_000]![0]}`)
    expect(await messageOf(broken)).toMatch(/row 20003 has 1 cells, and the head has 2$/)
  }
})

test("a closing quote at a piece's end, and paths that are resolved", async () => {
  for (const shift of [-2, -1, 0, 1, 2]) {
    const filler = "a".repeat(2 ** 20 + shift - "filepath,title\n0.jpg,".length - 3)
    const rows = [["0.jpg", `"${filler}"""`], ["../up.jpg", '"b"'], ["./x//y.jpg", "c"]] // biome-ignore format: rows
    const text = ["filepath,title", ...rows.map((row) => row.join())].join("\n")
    await writeFile(join(folder, "pairs.csv"), text)
    const list = await listCsv(join(folder, "pairs.csv"), {})
    const places = Array.from(
      { length: list.count },
      (_, i) => list.location(i) as { path: string; captions: readonly string[] },
    )
    expect(places.map(({ path }) => path)).toEqual([join(folder, "0.jpg"), join(folder, "../up.jpg"), join(folder, "x/y.jpg")]) // biome-ignore format: paths
    expect(places.map(({ captions }) => captions[0]!.slice(-3))).toEqual(['aa"', "b", "c"])
  }
})
