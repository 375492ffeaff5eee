import { execFileSync } from "node:child_process"
import { mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { basename, join } from "node:path"
import { gzipSync } from "node:zlib"
import { afterAll, beforeAll, expect, test } from "vitest"
import {
  pictureSamples,
  smallInput,
  temporaryFolder,
  tokenizer,
  trainingConfig,
  writeSamples,
} from "../../../../test/training-samples.ts"
import { preprocess } from "../../../core/image/preprocess.ts"
import { decodeImage } from "../../../host/image/images.ts"
import type { ReinforcedSample } from "../../reinforced/sample.ts"
import type { TrainingDataConfig } from "../config.ts"
import { openTrainingData } from "../training-data.ts"
import { findSeparator } from "./csv.ts"
import { detectFormat } from "./source.ts"

let folder: string
let samples: ReinforcedSample[]
/** Finds by a row of pixels which picture it is. */
let pictures: Map<string, number>

beforeAll(async () => {
  folder = await temporaryFolder()
  samples = await pictureSamples(6)
  await mkdir(join(folder, "pictures"))
  for (const [i, { image }] of samples.entries()) await writeFile(join(folder, "pictures", `${i}.jpg`), image!.bytes)
  const rows = await Promise.all(
    samples.map(async ({ image }) => preprocess(await decodeImage(image!.bytes), smallInput).join()),
  )
  pictures = new Map(rows.map((row, i) => [row, i]))
})
afterAll(() => rm(folder, { recursive: true }))

/** Pairs of an epoch, as picture's number and caption, sorted. */
async function epochOf(source: string, changes: Partial<TrainingDataConfig> = {}): Promise<string[]> {
  const data = await openTrainingData(trainingConfig(source, { batchSize: 2, ...changes }))
  const pairs: string[] = []
  for await (const { images, tokens } of data.batches(0)) {
    for (const i of [0, 1]) {
      const picture = pictures.get(images.subarray(i * 768, (i + 1) * 768).join())
      const ids = [...tokens.subarray(i * 20, (i + 1) * 20)]
      pairs.push(`${picture} ${tokenizer.decode(ids.slice(1, ids.indexOf(49407n))).trim()}`)
    }
    if (pairs.length >= data.samples!) break
  }
  await data.close()
  return pairs.sort()
}

function messageOf(source: string, changes: Partial<TrainingDataConfig> = {}): Promise<string> {
  return epochOf(source, changes).then(
    () => "none",
    ({ message, hint }) => `${message} | ${hint}`,
  )
}

const colors = ["red", "green", "blue", "white", "black", "gray"]
const expected = colors.map((color, i) => `${i} ${color} , indeed`)

/** Pictures by links, as data sets are often put together. */
async function linkPictures(name: string, pathOf: (i: number) => string): Promise<string> {
  for (const i of colors.keys()) {
    const path = join(folder, name, pathOf(i))
    await mkdir(join(path, ".."), { recursive: true })
    await symlink(join(folder, "pictures", `${i}.jpg`), path)
  }
  return join(folder, name)
}

test("a folder with captions beside the pictures", async () => {
  const path = await linkPictures("beside", (i) => `${i % 2}/${i}.jpg`)
  for (const [i, color] of colors.entries()) await writeFile(join(path, `${i % 2}/${i}.txt`), `${color}, indeed\n`)
  expect(await detectFormat(path)).toBe("folder")
  expect(await epochOf(path)).toEqual(expected)
  await rm(join(path, "1/3.txt"))
  expect(await messageOf(path)).toMatch(/^1 samples cannot be used.*no caption \(.*1\/3.jpg has no caption\)/)
  expect(await epochOf(path, { maxBadSamples: 1 })).not.toContain(expected[3])
})

test("class folders, with templates", async () => {
  const path = await linkPictures("classes", (i) => (i < 4 ? `hot_dog/x/${i}.jpg` : `cat/${i}.jpg`))
  const said = [0, 1, 2, 3, 4, 5].map((i) => `${i} a photo of a ${i < 4 ? "hot dog" : "cat"} .`)
  expect(await epochOf(path)).toEqual(said)
  const other = said.map((caption) => caption.replace("a photo of a", "look , a").replace(" .", ""))
  expect(await epochOf(path, { templates: ["look, a {}"] })).toEqual(other)
  expect(await messageOf(path, { templates: ["no place"] })).toContain('the template "no place" has no {}')
})

test("an odd folder: what is not a picture file is passed over and reported, whatever its name", async () => {
  const path = await linkPictures("odd", (i) => `${i < 3 ? "hot_dog.jpg" : "cat"}/${i}.jfif`)
  await symlink(".", join(path, "self"))
  await mkdir(join(path, ".ipynb_checkpoints"))
  for (const name of ["._0.jpg", ".ipynb_checkpoints/0.jpg", "cat/0.bmp"])
    await writeFile(join(path, name), "no picture")
  execFileSync("mkfifo", [join(path, "cat", "pipe.jpg")])
  const said = colors.map((_, i) => `${i} a photo of a ${i < 3 ? "hot dog . jpg" : "cat"} .`)
  expect(await epochOf(path)).toEqual(said)
  const data = await openTrainingData(trainingConfig(path, { batchSize: 2 }))
  await data.close()
  expect(data.notes).toEqual([expect.stringMatching(/passed over 1 file of other kinds \(1 \.bmp\).*; 1 pipe, socket/)])
})

test("a list that names a pipe or a folder, or is one", async () => {
  const pipe = join(folder, "pipe.jpg")
  execFileSync("mkfifo", [pipe])
  await mkdir(join(folder, "folder.jpg"))
  const names = ["pipe.jpg", "folder.jpg", ...colors.slice(2).map((_, i) => `pictures/${i + 2}.jpg`)]
  const csv = join(folder, "odd.csv")
  await writeFile(csv, ["filepath,title", ...names.map((name) => `${name},text`)].join("\n"))
  for (const workers of [0, 1]) {
    const config = trainingConfig(csv, { batchSize: 6, workers, maxBadSamples: 2 })
    const data = await openTrainingData(config)
    await data.batches(0).next()
    expect([...data.bad.reasons]).toEqual([["damaged sample", 2]])
    await data.close()
  }
  for (const name of ["list.csv", "list.jsonl", "list.tar"]) {
    execFileSync("mkfifo", [join(folder, name)])
    expect(await messageOf(join(folder, name))).toContain(`${name} is a pipe, a socket or a device`)
  }
  const formats = { csv: "list.csv", jsonl: "list.jsonl", shards: "list.tar", folder: "list.csv" } as const
  for (const [format, name] of Object.entries(formats)) {
    expect(await messageOf(join(folder, name), { format: format as keyof typeof formats })).toContain(name)
  }
})

test("pictures that are cut off are used and counted once, or refused", async () => {
  const path = join(folder, "cut-off")
  for (const [i, { image }] of samples.entries()) {
    const { bytes } = image!
    await mkdir(join(path, `${i}`), { recursive: true })
    await writeFile(join(path, `${i}`, "a.jpg"), i < 2 ? bytes.subarray(0, bytes.length - 20) : bytes)
  }
  for (const workers of [0, 2]) {
    const data = await openTrainingData(trainingConfig(path, { batchSize: 6, workers }))
    const batches = data.batches(0)
    for (let epoch = 0; epoch < 3; epoch++) await batches.next()
    expect([data.cutOff, data.bad.count]).toEqual([2, 0])
    await data.close()
  }
  expect(await messageOf(path, { truncated: "refuse" })).toMatch(/^2 samples cannot be used.* 2 x damaged picture/)
  expect(await epochOf(path, { truncated: "refuse", maxBadSamples: 2 })).toHaveLength(6)
})

test("pictures without captions and without classes are reported", async () => {
  expect(await messageOf(join(folder, "pictures"))).toContain("pictures/0.jpg has no caption: neither 0.txt beside it")
  await mkdir(join(folder, "empty"))
  expect(await messageOf(join(folder, "empty"))).toContain("empty holds no pictures")
  expect(await messageOf(join(folder, "absent"))).toContain("absent: no such file or folder")
})

test("CSV and TSV, with quoted cells and columns of other names", async () => {
  const rows = colors.map((color, i) => `pictures/${i}.jpg,"${color}, indeed",x`)
  const csv = join(folder, "pairs.csv")
  await writeFile(csv, `filepath,title,other\r\n${rows.join("\r\n")}\r\n`)
  expect(await epochOf(csv)).toEqual(expected)
  const tsv = join(folder, "pairs.tsv")
  await writeFile(tsv, ["text\tfile", ...colors.map((color, i) => `${color}, indeed\tpictures/${i}.jpg`)].join("\n"))
  expect(await epochOf(tsv, { imageColumn: "file", captionColumn: "text" })).toEqual(expected)
  expect(await messageOf(tsv)).toMatch(
    /pairs.tsv has no column "filepath", only "text", "file" \| .*--image-column.*--csv-img-key.*"file"/,
  )
  expect(await messageOf(csv, { separator: ";" })).toContain('has no column "filepath", only "filepath,title,other"')
  await writeFile(csv, "filepath,title\na.jpg,a, b\n")
  expect(await messageOf(csv)).toContain("pairs.csv, row 2 has 3 cells, and the head has 2 | quote cells")
  await writeFile(csv, `filepath,title\n${colors.map((color, i) => `pictures/x${i}.jpg,${color}`).join("\n")}`)
  expect(await messageOf(csv)).toMatch(/none of the first 6 samples can be used \(.*pictures\/x\d.jpg has no picture\)/)
})

test("a cell without a caption is a sample without one, in the last row as well", async () => {
  const tsv = join(folder, "blank.tsv")
  const rows = colors.map((color, i) => `pictures/${i}.jpg\t${i === 5 ? "" : `${color}, indeed`}`)
  await writeFile(tsv, ["filepath\ttitle", ...rows, ""].join("\n"))
  expect(await messageOf(tsv)).toMatch(/^1 samples cannot be used.*1 x no caption \(.*5.jpg has no caption\)/)
})

test("the separator is the one that is most frequent in the first line", () => {
  expect(["a\tb", "a,b\nc;d;e", "a;b,c;d", "a", ""].map(findSeparator)).toEqual(["\t", ",", ";", "\t", "\t"])
})

test("JSONL of pairs", async () => {
  const path = join(folder, "pairs.jsonl")
  const lines = colors.map((color, i) => JSON.stringify({ image: `pictures/${i}.jpg`, caption: `${color}, indeed` }))
  await writeFile(path, `${lines.join("\n")}\n\n`)
  expect(await detectFormat(path)).toBe("jsonl")
  expect(await epochOf(path)).toEqual(expected)
  await writeFile(path, `${lines[0]}\n{"image": "pictures/1.jpg"}\n`)
  expect(await messageOf(path)).toContain("pairs.jsonl, line 2 has no caption: one of caption, captions, text")
  await writeFile(path, `${lines[0]}\nhello\n`)
  expect(await messageOf(path)).toContain("pairs.jsonl, line 2 is not JSON (")
})

test("lists and shards of JPEG under its rarer names", async () => {
  const nameOf = (i: number) => `${i}.${i % 2 === 0 ? "jfif" : "JPE"}`
  const path = await linkPictures("rare", nameOf)
  const line = (i: number) => JSON.stringify({ file_name: nameOf(i), text: `${colors[i]}, indeed` })
  await writeFile(join(path, "list.jsonl"), colors.map((_, i) => line(i)).join("\n"))
  expect(await detectFormat(join(path, "list.jsonl"))).toBe("jsonl")
  expect(await epochOf(join(path, "list.jsonl"))).toEqual(expected)
  for (const i of colors.keys()) await writeFile(join(path, `${i}.txt`), `${colors[i]}, indeed`)
  execFileSync("tar", [
    "-chf",
    join(folder, "rare.tar"),
    "-C",
    path,
    ...colors.flatMap((_, i) => [nameOf(i), `${i}.txt`]),
  ])
  expect(await epochOf(join(folder, "rare.tar"))).toEqual(expected)
})

test("JSONL with a byte-order mark, any line end, in UTF-16, under any of its names", async () => {
  const lines = colors.map((color, i) => `{"image": "pictures/${i}.jpg", "caption": "${color}, indeed", "score": NaN}`)
  for (const [name, content] of [
    ["bom.jsonl", `\ufeff${lines.join("\r\n")}\r\n`],
    ["returns.ndjson", lines.join("\r")],
    ["lines.json", lines.join("\n")],
    ["utf16.jsonl", Buffer.concat([Buffer.of(0xff, 0xfe), Buffer.from(lines.join("\n"), "utf16le")])],
  ] as const) {
    await writeFile(join(folder, name), content)
    expect(await detectFormat(join(folder, name)), name).toBe("jsonl")
    expect(await epochOf(join(folder, name)), name).toEqual(expected)
  }
})

test.each(["null", "NaN", "[null]", '""'])("a caption that is %s counts like an empty cell", async (caption) => {
  const path = join(folder, "null.jsonl")
  const lines = colors.map(
    (color, i) => `{"image": "pictures/${i}.jpg", "text": ${i === 2 ? caption : `"${color}, indeed"`}}`,
  )
  await writeFile(path, lines.join("\n"))
  expect(await messageOf(path)).toMatch(/^1 samples cannot be used.*1 x no caption \(.*2.jpg has no caption\)/)
  expect(await epochOf(path, { maxBadSamples: 1 })).not.toContain(expected[2])
})

test("what is not a list of this machine says what it is", async () => {
  const message = async (name: string, content: string | Uint8Array) => {
    await writeFile(join(folder, name), content)
    return messageOf(join(folder, name))
  }
  const object = '{"image": "pictures/0.jpg", "caption": "one"}'
  expect(await message("array.json", `[${object}]`)).toMatch(/array\.json is one JSON array.* \| make lines of it: jq/)
  expect(await message("array.jsonl", `[\n${object}\n]\n`)).toContain("array.jsonl is one JSON array")
  const url = object.replace("pictures/0", "https://a.example/1")
  expect(await message("url.jsonl", `${object}\n${url}\n`)).toContain(
    'url.jsonl, line 2 names "https://a.example/1.jpg"',
  )
  const bare = object.replace("pictures/0.jpg", "https://a.example/?id=1")
  expect(await message("bare.jsonl", bare)).toContain('bare.jsonl, line 1 names "https://a.example/?id=1"')
  const latin = Buffer.from(`${object}\n${object.replace("one", "caf\xe9")}\n`, "latin1")
  expect(await message("latin.jsonl", latin)).toContain("latin.jsonl, line 2: it is not UTF-8")
  for (const source of ["pipe:cat x.tar", "a.tar::pipe:gunzip -c b.tar.gz"])
    expect(await messageOf(source)).toContain(`${source}: pipe: is not supported`)
  await mkdir(join(folder, "packed"))
  await writeFile(join(folder, "packed", "00000.tar.gz"), "")
  expect(await messageOf(join(folder, "packed"))).toContain("packed: its archives are compressed")
})

test("caption files in UTF-16 and with any line end; other bytes are refused with file and line", async () => {
  const path = await linkPictures("encodings", (i) => `${i}.jpg`)
  const utf16 = (text: string) => Buffer.concat([Buffer.of(0xff, 0xfe), Buffer.from(text, "utf16le")])
  for (const [i, color] of colors.entries()) await writeFile(join(path, `${i}.txt`), utf16(`${color}, indeed\r\n`))
  await writeFile(join(path, "1.txt"), `\r${colors[1]}, indeed\r\r`)
  expect(await epochOf(path)).toEqual(expected)
  await writeFile(join(path, "3.txt"), Buffer.from("one\rcaf\xe9", "latin1"))
  expect(await messageOf(path)).toMatch(/^1 samples cannot be used.*3\.txt, line 2 is not UTF-8\)/)
})

const plain = () => samples.map((sample, i) => ({ ...sample, texts: [`${colors[i]}, indeed`] }))

test("shards: JSONL with pictures, plain and gzip'd, and a damaged line", async () => {
  const path = await writeSamples(join(folder, "shard.jsonl"), plain(), "jsonl")
  expect(await detectFormat(path)).toBe("shards")
  expect(await epochOf(path)).toEqual(expected)
  const packed = await writeSamples(join(folder, "shard.jsonl.gz"), plain(), "jsonl")
  const temporary = join(folder, "temporary")
  expect(await epochOf(packed, { temporaryFolder: temporary })).toEqual(expected)
  expect(await readdir(temporary)).toEqual([])
  const lines = (await readFile(path, "utf8")).split("\n")
  await writeFile(path, ["  ", ...lines.slice(0, 5), `${lines[5]!.slice(0, 100)}\r`, "", "   "].join("\n"))
  expect(await messageOf(path)).toMatch(/1 samples cannot be used.*damaged sample \(.*shard.jsonl, byte \d+: /)
})

test("JSONL shards in UTF-16: read where they are packed, as every command reads them; else refused in one line", async () => {
  const path = await writeSamples(join(folder, "utf8.jsonl"), plain(), "jsonl")
  const text = Buffer.from(await readFile(path, "utf8"), "utf16le")
  const marked = Buffer.concat([Buffer.of(0xff, 0xfe), text])
  await writeFile(join(folder, "utf16.jsonl.gz"), gzipSync(marked))
  expect(await epochOf(join(folder, "utf16.jsonl.gz"))).toEqual(expected)
  await writeFile(join(folder, "unmarked.jsonl.gz"), gzipSync(text))
  expect(await messageOf(join(folder, "unmarked.jsonl.gz"))).toMatch(
    /^\S+unmarked\.jsonl\.gz: its text is UTF-16 without a byte-order mark \| save the file as UTF-8$/,
  )
  for (const [name, bytes] of [
    ["marked", marked],
    ["plain", text],
    ["swapped", Buffer.from(text).swap16()],
  ] as const) {
    await writeFile(join(folder, `${name}.shard`), bytes)
    expect(await messageOf(join(folder, `${name}.shard`)), name).toMatch(
      /^\S+\.shard is a text in UTF-16, not a shard \| save it as UTF-8: iconv -f UTF-16 -t UTF-8 OLD\.jsonl > NEW\.jsonl$/,
    )
  }
})

test("lists of pictures stand alone: joined with another list or with shards they are refused", async () => {
  await writeFile(join(folder, "rows.csv"), "filepath,title\n0.jpg,one\n")
  await writeFile(join(folder, "rows.jsonl"), '{"image":"0.jpg","caption":"one"}\n')
  for (const list of ["rows.csv", "rows.jsonl"].map((name) => join(folder, name)))
    for (const source of [`${list}::${list}`, `${join(folder, "0.tar")}::${list}`])
      await expect(openTrainingData(trainingConfig(source))).rejects.toMatchObject({
        message: `${list}: a list of pictures stands alone, and only shards are joined by ::`,
        hint: "put the rows into one list, or pack each list into shards (mobileclip shards)",
      })
})

test("shards that are cut short give what they have", async () => {
  const path = await writeSamples(join(folder, "cut.tar"), plain())
  const bytes = await readFile(path)
  await writeFile(path, bytes.subarray(0, bytes.length - 4000))
  expect(await messageOf(path)).toMatch(
    /^1 samples cannot be used, more than the 0 allowed: 1 x damaged sample \(.*cut.tar: s5: /,
  )
  const data = await openTrainingData(trainingConfig(path, { maxBadSamples: 1 }))
  await data.close()
  expect([data.samples, data.bad.count]).toEqual([5, 1])
  await writeFile(path, "hello")
  expect(await messageOf(path)).toContain("cut.tar is not a shard | a tar archive or a JSONL file")
})

test("remote shards: each once per epoch, or drawn; copies are removed when the data are closed", async () => {
  const paths = [
    await writeSamples(join(folder, "remote-0.tar"), plain().slice(0, 3)),
    await writeSamples(join(folder, "remote-1.tar"), plain().slice(3)),
  ]
  const server = createServer(async (request, response) => {
    response.end(await readFile(join(folder, basename(request.url!))).catch(() => "no shard"))
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  try {
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const source = `${origin}/remote-{0..1}.tar`
    const temporaryFolder = join(folder, "copies")
    expect(await epochOf(source, { temporaryFolder })).toEqual(await epochOf(paths.join("::")))
    expect(await readdir(temporaryFolder)).toEqual([])
    const data = await openTrainingData(trainingConfig(source, { resampled: true, temporaryFolder }))
    expect([data.samples, data.stepsPerEpoch]).toEqual([null, null])
    for await (const { images } of data.batches(70)) {
      expect(pictures.has(images.subarray(0, 768).join())).toBe(true)
      break
    }
    await data.close()
    expect(await readdir(temporaryFolder)).toEqual([])
  } finally {
    server.close()
  }
})

test("a shard that fails while another is fetched: the fetch is ended before the copies are removed", async () => {
  let isFetching = false
  let failNow = () => {}
  const server = createServer((request, response) => {
    if (basename(request.url!) === "absent.tar") {
      failNow = () => response.writeHead(404).end()
      if (isFetching) failNow()
      return
    }
    isFetching = true
    response.writeHead(200, { "content-length": "5000000" }).write(Buffer.alloc(1000))
    response.on("close", () => (isFetching = false))
    failNow()
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  try {
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const temporaryFolder = join(folder, "failing")
    const source = `${origin}/absent.tar::${origin}/slow.tar`
    await expect(openTrainingData(trainingConfig(source, { temporaryFolder }))).rejects.toThrow("absent.tar")
    expect(await readdir(temporaryFolder)).toEqual([])
    await expect.poll(() => isFetching).toBe(false)
  } finally {
    server.closeAllConnections()
    server.close()
  }
})
