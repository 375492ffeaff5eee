import { createHash } from "node:crypto"
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { Random } from "../../../../core/arrays/random.ts"
import { UserError } from "../../../../core/errors.ts"
import { stampOf } from "../../../sample-index/index-file.ts"
import { indexCacheFolder, writeIndexBeside } from "../../../sample-index/index-places.ts"
import { csvKind, listCsv } from "../csv.ts"
import { listIdentity } from "../identity.ts"
import type { SampleList } from "../location.ts"
import { jsonlKind, listJsonl, listPairs, type Pair } from "../pairs.ts"
import { type IndexedList, openIndexed, openList } from "./indexed-list.ts"
import { ListPass } from "./list-pass.ts"
import { memorySource } from "./list-source.ts"

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "indexed-list-"))
  vi.stubEnv("XDG_CACHE_HOME", join(folder, "cache"))
})
afterEach(() => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
  rmSync(folder, { recursive: true })
})

function rowsOf(list: SampleList): unknown[] {
  return Array.from({ length: list.count }, (_, i) => [list.location(i), list.fields?.(i)])
}

/** By the definition: names in the folder that holds all, and captions, in JSON lines after a text. */
function digestOf(text: string, list: SampleList): string {
  const places = Array.from(
    { length: list.count },
    (_, i) => list.location(i) as { path: string; captions: readonly string[] },
  )
  const folders = places.map(({ path }) => path.split("/").slice(0, -1))
  const depth = folders[0]!.findIndex((name, i) => folders.some((other) => other[i] !== name))
  const common = folders[0]!.slice(0, depth < 0 ? folders[0]!.length : depth).join("/").length + 1
  const lines = places.map(({ path, captions }) => `${JSON.stringify([path.slice(common), captions])}\n`)
  return createHash("sha256")
    .update(text + lines.join(""))
    .digest("hex")
    .slice(0, 16)
}

// ---------------------------------------------------------------------------------------------- any list, in memory

type Encoding = "utf8" | "marked" | "utf16le" | "utf16be"

function encoded(text: string, encoding: Encoding): Buffer {
  if (encoding === "utf8") return Buffer.from(text)
  if (encoding === "marked") return Buffer.from(`\ufeff${text}`)
  const bytes = Buffer.from(`\ufeff${text}`, "utf16le")
  return encoding === "utf16be" ? bytes.swap16() : bytes
}

function openBytes(bytes: Buffer, kind: ReturnType<typeof csvKind>, chunkBytes: number): Promise<IndexedList> {
  const source = memorySource(join(folder, "list"), { bytes: 0, mtime: "0" }, bytes, chunkBytes)
  return openList(source, kind, true)
}

const letters = ["a", "é", "🦋", " ", "'", "\\", "\u0001", "\u00a0"]
const images = ["0.jpg", "a/1.jpg", "a/b/2.png", "./c.jpg", "../up.jpg", "/abs/x.jpg", ".hidden", "é/3.jpg", "a:b.jpg"]

function word(random: Random, more: readonly string[] = []): string {
  return Array.from({ length: random.int(8) }, () => random.pick([...letters, ...more])).join("")
}

test("CSV: rows read by where they begin are those that were written, in any encoding and pieces", async () => {
  const random = new Random(1)
  for (let round = 0; round < 400; round++) {
    const separator = random.pick([",", "\t", ";"])
    const lineEnd = random.pick(["\n", "\r\n", "\r"])
    const cell = () => `"${word(random, [separator, '""', lineEnd])}"`
    const plain = () => `x${word(random)}`
    const rows = Array.from({ length: 1 + random.int(6) }, () => [random.pick(images), random.pick([cell, plain])(), plain()])
    const blank = () => random.pick(["", "", lineEnd, `${lineEnd} ${separator} ${lineEnd}`])
    const lines = [["filepath", "title", "other"], ...rows].map((row) => row.join(separator) + lineEnd + blank())
    const text = `${random.pick(["", `sep=${separator}${lineEnd}`, lineEnd])}${lines.join("")}`
    const bytes = encoded(random.chance(0.5) ? text.replace(/[\r\n]+$/, "") : text, random.pick(["utf8", "marked", "utf16le", "utf16be"]))
    const list = await openBytes(bytes, csvKind(join(folder, "list"), { separator }), random.pick([1, 2, 3, 10, 100]))
    const values = rows.map((row) => row.map((value) => (value.startsWith('"') ? value.slice(1, -1).replaceAll('""', '"') : value).replace(/\r(?!\n)/g, "\n")))
    const pairs = values.map(([image, caption]): Pair => ({ image: image!, captions: [caption!] }))
    const expected = rowsOf({ ...listPairs(join(folder, "list"), pairs), fields: (i) => ({ path: values[i]![0], other: values[i]![2] }) })
    expect(rowsOf(list), JSON.stringify(text)).toEqual(expected)
    expect(await list.digest("[1,null]")).toBe(digestOf("[1,null]", list))
  }
}) // biome-ignore format: rows

test("JSONL: the same, whether lines are plain or not", async () => {
  const random = new Random(2)
  for (let round = 0; round < 400; round++) {
    const lineEnd = random.pick(["\n", "\r\n", "\r"])
    const rows = Array.from({ length: 1 + random.int(6) }, () => {
      const captions = random.pick([() => word(random, ['"', "\n"]), () => [word(random), "two"], () => null])()
      return { n: random.pick([1, null, "x", { deep: [2.5] }]), image: random.pick(images), caption: captions }
    })
    const text = rows
      .map((row) => `${JSON.stringify(row)}${lineEnd}${random.pick(["", lineEnd, ` ${lineEnd}`])}`)
      .join("")
    const bytes = encoded(text, random.pick(["utf8", "marked", "utf16le", "utf16be"]))
    const list = await openBytes(bytes, jsonlKind(join(folder, "list"), {}), random.pick([1, 2, 3, 10, 100]))
    const pairs = rows.map(
      ({ image, caption }): Pair => ({ image, captions: caption === null ? [] : [caption].flat() }),
    )
    const fields = (i: number) => ({ path: rows[i]!.image, n: rows[i]!.n })
    expect(rowsOf(list), JSON.stringify(text)).toEqual(rowsOf({ ...listPairs(join(folder, "list"), pairs), fields }))
    expect(await list.digest("[]")).toBe(digestOf("[]", list))
  }
})

test("identities are those of earlier versions, which checkpoints hold", async () => {
  const path = join(folder, "list.csv")
  const within = 'filepath,title\na/0.jpg,one\na/b/1.jpg,"two, ""2"""\n'
  writeFileSync(path, within)
  expect(await listIdentity(await listCsv(path, {}))).toBe("2 pictures (a38db88d83fd0bd9)")
  writeFileSync(
    join(folder, "list.jsonl"),
    '{"image":"a/0.jpg","caption":"one"}\n{"image":"a/b/1.jpg","text":"two, \\"2\\""}\n',
  )
  expect(await listIdentity(await listJsonl(join(folder, "list.jsonl"), {}))).toBe("2 pictures (a38db88d83fd0bd9)")
})

// ------------------------------------------------------------------------------------------- an index that is kept

const count = 60_000

/** A list that is large enough to have an index. */
function writeList(change: (line: string, i: number) => string = (line) => line): string {
  const path = join(folder, "list.csv")
  const lines = Array.from({ length: count }, (_, i) =>
    change(`folder/${i}.jpg,"caption ${i}, ${"of a picture ".repeat(5)}"`, i),
  )
  writeFileSync(path, ["filepath,title", ...lines, ""].join("\n"))
  return path
}

function caption(list: SampleList, i: number): string {
  const location = list.location(i)
  return location.kind === "file" && !("file" in location.captions) ? location.captions[0]!.trim().slice(0, 15) : ""
}

async function opened<T>(path: string, use: (list: IndexedList) => T | Promise<T>): Promise<T> {
  const list = await openIndexed(path, csvKind(path, {}))
  try {
    return await use(list)
  } finally {
    list.close()
  }
}

function indexes(): string[] {
  return existsSync(indexCacheFolder()) ? readdirSync(indexCacheFolder()).filter((name) => name.endsWith(".index")) : []
}

test("a list is passed over once, and later starts read its index", async () => {
  const path = writeList()
  const passes = vi.spyOn(ListPass.prototype, "starts")
  for (let start = 0; start < 3; start++) {
    await opened(path, (list) => {
      expect([list.count, list.notes]).toEqual([count, []])
      for (const i of [0, 1, 31_234, count - 1])
        expect(caption(list, i)).toBe(`caption ${i}, of a picture`.slice(0, 15))
    })
    expect(passes).toHaveBeenCalledTimes(1)
  }
  expect(indexes()).toHaveLength(1)
})

test("the digest is made once for the same text, and kept with the index", async () => {
  const path = writeList()
  const passes = vi.spyOn(ListPass.prototype, "starts")
  const expected = await opened(path, (list) => digestOf("[1]", list))
  for (let start = 0; start < 3; start++) expect(await opened(path, (list) => list.digest("[1]"))).toBe(expected)
  expect(passes).toHaveBeenCalledTimes(2)
  expect(await opened(path, (list) => list.digest("[2]"))).not.toBe(expected)
  expect(passes).toHaveBeenCalledTimes(3)
  expect(indexes()).toHaveLength(1)
})

test("several that start at once: one makes the index, and the others wait for it", async () => {
  const path = writeList()
  const passes = vi.spyOn(ListPass.prototype, "starts")
  const starts = Array.from({ length: 4 }, () =>
    opened(path, async (list) => [caption(list, 7), await list.digest("[]")]),
  )
  const [first, ...others] = await Promise.all(starts)
  for (const other of others) expect(other).toEqual(first)
  expect(passes).toHaveBeenCalledTimes(2)
  expect(readdirSync(indexCacheFolder())).toEqual(indexes())
})

test("a list of another time or size, and an index that is cut, foreign or damaged, are read anew", async () => {
  const path = writeList()
  const passes = vi.spyOn(ListPass.prototype, "starts")
  const captionOf7 = () => opened(path, (list) => caption(list, 7))
  await captionOf7()
  const index = join(indexCacheFolder(), indexes()[0]!)
  const whole = readFileSync(index)
  utimesSync(path, 1, 1)
  await captionOf7()
  expect(passes).toHaveBeenCalledTimes(2)
  for (const [i, bytes] of [whole.subarray(0, 1000), Buffer.alloc(1000), whole, Buffer.alloc(0)].entries()) {
    writeFileSync(index, bytes)
    expect(await captionOf7()).toBe("caption 7, of a")
    expect(passes).toHaveBeenCalledTimes(3 + i)
  }
})

const foreign: readonly [string, (facts: Record<string, unknown>) => unknown][] = [
  ["no facts", () => null],
  ["another encoding", (facts) => ({ ...facts, encoding: "utf-16le" })],
  ["another folder", (facts) => ({ ...facts, folder: "/elsewhere" })],
  ["no columns", (facts) => ({ ...facts, dialect: null })],
  ["a column that is not there", (facts) => ({ ...facts, dialect: { separator: ",", columns: { names: ["filepath"], image: 0, caption: 1 } } })],
  ["more columns than rows have", (facts) => ({ ...facts, dialect: { separator: ",", columns: { names: ["a", "b", "c"], image: 0, caption: 1 } } })],
  ["a digest of another form", (facts) => ({ ...facts, digest: { text: 1 } })],
] // biome-ignore format: cases

test.each(foreign)("an index beside the list with %s is passed over", async (_, change) => {
  const path = writeList()
  const pass = new ListPass(await memoryOf(path), csvKind(path, {}), null)
  const table: Float64Array[] = []
  for await (const piece of pass.starts()) table.push(piece)
  const facts = () => change({ ...pass.facts() })
  await writeIndexBeside(path, { format: formatOf(path), stamp: stampOf(path), table, facts })
  expect(await opened(path, (list) => caption(list, 7))).toBe("caption 7, of a")
  expect(indexes()).toHaveLength(1)
})

async function memoryOf(path: string) {
  return memorySource(path, stampOf(path), readFileSync(path))
}

function formatOf(path: string): string {
  return `list 1 ${csvKind(path, {}).name}`
}

test("where an index says that a row begins and none does, that is an error and not a sample", async () => {
  const path = writeList()
  const pass = new ListPass(await memoryOf(path), csvKind(path, {}), null)
  const table: Float64Array[] = []
  for await (const piece of pass.starts()) table.push(piece.map((start, i) => start + (i % 50 === 9 ? 8 : 0)))
  await writeIndexBeside(path, { format: formatOf(path), stamp: stampOf(path), table, facts: () => pass.facts() })
  await opened(path, (list) => {
    expect(caption(list, 7)).toBe("caption 7, of a")
    // The one before ends too late, and the other begins there.
    for (const i of [8, 9]) expect(() => list.location(i)).toThrow(`list.csv, byte`)
    expect(() => list.location(9)).toThrow(UserError)
  })
})

test("a list that is written to while it is in use ends the reading", async () => {
  const path = writeList()
  await opened(path, async (list) => {
    writeList((line, i) => (i === 0 ? line.slice(0, -2) : i === count - 1 ? `${line}xx` : line))
    // Whether by its rows or, a second after it was looked at last, by its time.
    expect(() => list.location(20_000)).toThrow(/list\.csv(, byte \d+: no row begins there any more| was changed)/)
    await sleep(1100)
    expect(() => list.location(0)).toThrow(/list\.csv was changed while it was in use/)
  })
})

test.each([
  ["csv", csvKind, (i: number) => `folder/${i}.jpg,"caption ${i}, ${"of a picture ".repeat(5)}"`, "é,x"],
  [
    "jsonl",
    jsonlKind,
    (i: number) => JSON.stringify({ image: `${i}.jpg`, caption: "of a picture ".repeat(5) }),
    '{"image":1}',
  ],
] as const)(
  "a row of %s that is another one by now is an error, whatever stands there",
  async (name, kindOf, line, other) => {
    const path = join(folder, `list.${name}`)
    const lines = Array.from({ length: count }, (_, i) => line(i))
    writeFileSync(path, [name === "csv" ? "filepath,title" : "", ...lines, ""].join("\n"))
    utimesSync(path, 1000, 1000)
    const list = await openIndexed(path, kindOf(path, {}))
    const bytes = readFileSync(path)
    const starts = [2000, 2001, 2002, 2003].map((i) => bytes.indexOf(`${lines[i]}\n`))
    list.location(2000)
    bytes.fill(" ", starts[0], starts[0]! + lines[2000]!.length)
    bytes.fill(0xe9, starts[1]! + 20, starts[1]! + 22)
    bytes.write(other.padEnd(lines[2002]!.length), starts[2]!, "latin1")
    bytes.fill("\n", starts[3]! + 10, starts[3]! + 12)
    writeFileSync(path, bytes)
    utimesSync(path, 1000, 1000)
    for (const i of [2000, 2001, 2002, 2003])
      expect(() => list.location(i), `${i}`).toThrow("no row begins there any more")
    expect(list.location(2004)).toMatchObject({ kind: "file" })
    list.close()
  },
)

test("a list that is written to while it is passed over is refused", async () => {
  const path = writeList()
  const original = ListPass.prototype.facts
  const pass = vi.spyOn(ListPass.prototype, "starts")
  pass.mockImplementationOnce(async function* (this: ListPass) {
    pass.mockRestore()
    for await (const piece of this.starts()) {
      writeFileSync(path, "\n9.jpg,nine\n", { flag: "a" })
      yield piece
    }
  })
  await expect(opened(path, (list) => list.count)).rejects.toThrow(/was changed while it was in use/)
  expect(ListPass.prototype.facts).toBe(original)
  expect(indexes()).toEqual([])
})

test("without a cache that can be written, lists are read all the same, and that is said", async () => {
  const path = writeList()
  writeFileSync(join(folder, "file"), "")
  vi.stubEnv("XDG_CACHE_HOME", join(folder, "file"))
  await opened(path, async (list) => {
    expect(list.notes).toEqual([expect.stringMatching(/list\.csv: its index is not kept, so .*\(.*\)$/)])
    expect(caption(list, 7)).toBe("caption 7, of a")
    expect(await list.digest("[]")).toBe(digestOf("[]", list))
  })
})

test("a row that is damaged is named, and nothing is kept", async () => {
  const path = writeList((line, i) => (i === 50_000 ? `${line},x` : line))
  await expect(opened(path, () => {})).rejects.toThrow("row 50002 has 3 cells, and the head has 2")
  expect(indexes()).toEqual([])
})

/** Files in the folder that this process has open. */
function openFiles(): string[] {
  const links = readdirSync("/proc/self/fd").map((name) => {
    try {
      return readlinkSync(join("/proc/self/fd", name))
    } catch {
      return ""
    }
  })
  return links.filter((path) => path.startsWith(folder)).sort()
}

test.runIf(process.platform === "linux")("lists that are closed leave no file open", async () => {
  const path = writeList()
  for (let i = 0; i < 3; i++) {
    await opened(path, async (list) => {
      await list.digest(`[${i % 2}]`)
      expect(openFiles()).toEqual([expect.stringMatching(/\.index( \(deleted\))?$/), path])
    })
  }
  await expect(openIndexed(path, csvKind(path, { imageColumn: "nowhere" }))).rejects.toThrow("no column")
  expect(openFiles()).toEqual([])
})

test("an index beside the list comes first", async () => {
  const path = writeList()
  await opened(path, (list) => list.writeIndex("[5]"))
  rmSync(indexCacheFolder(), { recursive: true })
  const passes = vi.spyOn(ListPass.prototype, "starts")
  expect(await opened(path, (list) => list.digest("[5]"))).toBe(await opened(path, (list) => digestOf("[5]", list)))
  expect(passes).not.toHaveBeenCalled()
  expect(readdirSync(folder)).toContain("list.csv.index")
})

test("a pass that takes some seconds is shown, in megabytes", async () => {
  const path = writeList()
  const shown: unknown[] = []
  const startProgress = (...begun: unknown[]) => {
    shown.push(begun)
    return { update: (done: number) => shown.push(done), done: () => shown.push("done") }
  }
  ;(await openIndexed(path, csvKind(path, { separator: "," }), { startProgress })).close()
  expect(shown).toEqual([])
  let now = 0
  vi.spyOn(performance, "now").mockImplementation(() => (now += 2000))
  ;(await openIndexed(path, csvKind(path, {}), { startProgress })).close()
  const megabytes = Math.round(readFileSync(path).length / 1e6)
  const options = { unit: "MB", seconds: expect.any(Number) }
  expect(shown[0]).toEqual([`reading ${path}`, megabytes, options])
  expect(shown.slice(-2)).toEqual([megabytes, "done"])
})

test("a signal in the middle of a pass ends it, and nothing is kept", async () => {
  const path = writeList()
  const stop = new AbortController()
  const starts = ListPass.prototype.starts
  vi.spyOn(ListPass.prototype, "starts").mockImplementation(async function* (this: ListPass) {
    for await (const piece of starts.call(this)) {
      yield piece
      stop.abort()
    }
  })
  await expect(openIndexed(path, csvKind(path, {}), { signal: stop.signal })).rejects.toThrow("aborted")
  expect(indexes()).toEqual([])
  await expect(openIndexed(path, csvKind(path, {}), { signal: stop.signal })).rejects.toThrow("aborted")
})
