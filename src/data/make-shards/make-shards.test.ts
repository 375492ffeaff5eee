import { existsSync } from "node:fs"
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import sharp from "sharp"
import { afterEach, beforeEach, expect, test } from "vitest"
import { readSamples } from "../reinforced/read.ts"
import type { ReinforcedSample } from "../reinforced/sample.ts"
import { readShard } from "../shards.ts"
import { makeShards } from "./make-shards.ts"
import type { MakeShardsOptions } from "./options.ts"

let folder: string
const at = (...names: string[]) => join(folder, ...names)

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "make-shards-"))
})
afterEach(() => rm(folder, { recursive: true }))

/** A picture of one shade, in the format that the name says. */
async function picture(path: string, shade: number): Promise<Buffer> {
  const file = at(path)
  await mkdir(join(file, ".."), { recursive: true })
  await sharp({ create: { width: 40, height: 30, channels: 3, background: { r: shade, g: 9, b: 99 } } }).toFile(file)
  return readFile(file)
}

/** `count` pictures with captions beside them -> their bytes by path. */
async function captioned(count: number): Promise<Map<string, Buffer>> {
  const bytes = new Map<string, Buffer>()
  for (let i = 0; i < count; i++) {
    bytes.set(`${i}.jpg`, await picture(`in/${i}.jpg`, 20 * i))
    await writeFile(at("in", `${i}.txt`), `number ${i}\n`)
  }
  return bytes
}

function make(source: string, changes: Partial<MakeShardsOptions> = {}) {
  return makeShards({ source: at(source), out: at("out"), ...changes })
}

/** What our reader gives of a shard. */
async function samplesOf(shard: string): Promise<ReinforcedSample[]> {
  const samples: ReinforcedSample[] = []
  for await (const sample of readSamples(at("out", shard), ({ reason }) => expect.unreachable(reason)))
    samples.push(sample)
  return samples
}

const textOf = (path: string) => readFile(at(path), "utf8")

test("captions beside pictures: the same bytes and captions come back, in the order of paths", async () => {
  const bytes = await captioned(5)
  await writeFile(at("in/3.txt"), "first\nsecond\n")
  const made = await make("in", { samplesPerShard: 2 })
  const names = ["00000.tar", "00001.tar", "00002.tar"]
  const sizes = await Promise.all(names.map(async (name) => (await stat(at("out", name))).size))
  const total = sizes.reduce((sum, size) => sum + size)
  expect(made).toEqual({ shards: 3, resumed: 0, samples: 5, bytes: total, leftOut: [] })
  const samples = (await Promise.all(names.map(samplesOf))).flat()
  expect(samples.map(({ key }) => key)).toEqual(["000000000", "000000001", "000010000", "000010001", "000020000"])
  expect(samples.map(({ texts }) => texts)).toEqual([
    ["number 0"],
    ["number 1"],
    ["number 2"],
    ["first", "second"],
    ["number 4"],
  ])
  for (const [i, { image, fields }] of samples.entries()) {
    expect(fields).toEqual({ path: `${i}.jpg` })
    expect(Buffer.from(image!.bytes).equals(bytes.get(`${i}.jpg`)!)).toBe(true)
  }
  expect(await textOf("out/manifest.jsonl")).toBe(
    names.map((name, i) => `{"shard":"${name.slice(0, 5)}","num_uids":${i < 2 ? 2 : 1}}\n`).join(""),
  )
  expect(await textOf("out/failures.jsonl")).toBe("")
})

test("class folders: the name is the caption; a format is told by the bytes and not by the name", async () => {
  const png = await picture("in/hot_dog/1.png", 3)
  await writeFile(at("in/hot_dog/2.JPG"), png)
  await picture("in/cat/deep/1.webp", 4)
  await make("in", { templates: ["a {}.", "one {}"] })
  const samples = await samplesOf("00000.tar")
  expect(samples.map(({ image, texts, fields }) => [image!.extension, ...texts, fields.path])).toEqual([
    ["webp", "a cat.", "one cat", "cat/deep/1.webp"],
    ["png", "a hot dog.", "one hot dog", "hot_dog/1.png"],
    ["png", "a hot dog.", "one hot dog", "hot_dog/2.JPG"],
  ])
  await make("in", { out: at("plain") })
  const members = []
  for await (const sample of readShard(at("plain/00000.tar"))) members.push([...sample.members.keys()].join())
  expect(members).toEqual(["json,txt,webp", "json,png,txt", "json,png,txt"])
})

test("lists keep their order, and what they have beside picture and caption", async () => {
  await captioned(2)
  await writeFile(at("pairs.csv"), 'file,text,by,n\nin/1.jpg,"one, really",Ann,7\nin/0.jpg,nought,Bo,8\n')
  await make("pairs.csv", { imageColumn: "file", captionColumn: "text" })
  const ofCsv = (await samplesOf("00000.tar")).map(({ texts, fields }) => ({ texts, fields }))
  expect(ofCsv).toEqual([
    { texts: ["one, really"], fields: { path: "in/1.jpg", by: "Ann", n: "7" } },
    { texts: ["nought"], fields: { path: "in/0.jpg", by: "Bo", n: "8" } },
  ])
  const lines = [
    { image: at("in/1.jpg"), captions: ["a", "b"], tags: { x: [1] } },
    { image: "in/0.jpg", captions: "c" },
  ]
  await writeFile(at("pairs.jsonl"), lines.map((line) => `${JSON.stringify(line)}\n`).join(""))
  await make("pairs.jsonl", { out: at("lines") })
  // Another field makes other shards.
  await writeFile(at("pairs.csv"), 'file,text,by,n\nin/1.jpg,"one, really",Ann,7\nin/0.jpg,nought,Bo,9\n')
  await expect(make("pairs.csv", { imageColumn: "file", captionColumn: "text" })).rejects.toThrow(
    /has shards with list "[0-9a-f]{64}", and now it is/,
  )
  const ofJsonl = []
  for await (const { texts, fields } of readSamples(at("lines/00000.tar"), () => {})) ofJsonl.push({ texts, fields })
  expect(ofJsonl).toEqual([
    { texts: ["a", "b"], fields: { path: at("in/1.jpg"), tags: { x: [1] } } },
    { texts: ["c"], fields: { path: "in/0.jpg" } },
  ])
})

test("pictures that cannot be used are listed with the reason, and their numbers stay unused", async () => {
  await captioned(4)
  await writeFile(at("in/1.jpg"), "text")
  await writeFile(at("in/2.jpg"), (await readFile(at("in/2.jpg"))).subarray(0, -20))
  await rm(at("in/3.txt"))
  await writeFile(at("in/4.jpg"), "")
  await picture("in/5.jpg", 200)
  await writeFile(at("in/5.txt"), "five")
  const made = await make("in", { truncated: "refuse" })
  const left = [
    { path: "1.jpg", reason: "1.jpg is not a picture" },
    { path: "2.jpg", reason: expect.stringMatching(/^2\.jpg is (damaged|cut off|truncated)/) },
    { path: "3.jpg", reason: "it has no caption" },
    { path: "4.jpg", reason: "4.jpg is empty" },
  ]
  expect(made).toMatchObject({ samples: 2, leftOut: left })
  const lines = (await textOf("out/failures.jsonl")).trim().split("\n")
  expect(lines.map((line) => JSON.parse(line))).toEqual(left.map((one) => ({ shard: "00000.tar", ...one })))
  expect((await samplesOf("00000.tar")).map(({ key }) => key)).toEqual(["000000000", "000000005"])

  const few = make("in", { out: at("few"), maxFailures: 2, samplesPerShard: 1 })
  await expect(few).rejects.toThrow(
    "3 pictures or folders had to be left out, and at most 2 may be; the first: 1.jpg: 1.jpg is not",
  )
  expect((await readdir(at("few"))).sort()).toEqual(["00000.tar", "_done", "shards.json"])
})

test("folders and pictures whose names are not UTF-8 are left out like all that cannot be read", async () => {
  await captioned(1)
  const latin = (path: string) => Buffer.from(at(`in/${path}`), "latin1")
  await mkdir(latin("caf\xe9"))
  await writeFile(latin("caf\xe9/1.jpg"), await readFile(at("in/0.jpg")))
  await writeFile(latin("\xe9t\xe9.jpg"), await readFile(at("in/0.jpg")))
  const left = [
    { path: "caf\ufffd", reason: `${at("in/caf\ufffd")} cannot be read: its name is not UTF-8` },
    { path: "\ufffdt\ufffd.jpg", reason: `${at("in/\ufffdt\ufffd.jpg")} cannot be read: its name is not UTF-8` },
  ]
  for (const [out, captions] of [
    ["out", false],
    ["too", true],
  ] as const) {
    // biome-ignore format: a table
    const notes: string[] = []
    if (captions) await writeFile(latin("\xe9t\xe9.txt"), "summer")
    const made = await make("in", { out: at(out), captions, onNote: (line) => notes.push(line) })
    expect(made).toMatchObject({ samples: 1, leftOut: left })
    expect(notes).toEqual([left[0]!.reason])
    const lines = (await textOf(`${out}/failures.jsonl`)).trim().split("\n")
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { shard: null, ...left[0]! },
      { shard: "00000.tar", ...left[1]! },
    ])
  }
  await expect(make("in", { out: at("none"), maxFailures: 0 })).rejects.toThrow(
    "1 pictures or folders had to be left out, and at most 0 may be; the first: caf\ufffd: ",
  )
})

test("a list names a picture that is not there; a shard without a usable picture is not written", async () => {
  await captioned(1)
  await writeFile(at("pairs.jsonl"), '{"image":"gone.jpg","caption":"x"}\n{"image":"in/0.jpg","caption":"y"}\n')
  const made = await make("pairs.jsonl", { samplesPerShard: 1 })
  expect(made).toMatchObject({ shards: 1, samples: 1, leftOut: [{ path: at("gone.jpg") }] })
  expect(existsSync(at("out/00000.tar"))).toBe(false)
  await writeFile(at("none.jsonl"), '{"image":"gone.jpg","caption":"x"}\n')
  await expect(make("none.jsonl", { out: at("none") })).rejects.toThrow("none of the 1 pictures can be used")
})

test("after an interruption the same call goes on, to the same bytes; another call is refused", async () => {
  await captioned(6)
  await makeShards({ source: at("in"), out: at("whole"), samplesPerShard: 2 })
  const controller = new AbortController()
  const startProgress = () => ({
    update: (done: number) => done === 3 && controller.abort(),
    done() {},
  })
  const stopped = make("in", { samplesPerShard: 2, signal: controller.signal, startProgress })
  await expect(stopped).rejects.toThrow(expect.objectContaining({ name: "AbortError" }))
  expect((await readdir(at("out"))).sort()).toEqual(["00000.tar", "_done", "shards.json"])
  await expect(make("in", { samplesPerShard: 3 })).rejects.toThrow("has shards with samplesPerShard 2, and now it is 3")
  await expect(make("in", { samplesPerShard: 2, shuffle: 1 })).rejects.toThrow(
    "has shards with shuffle null, and now it is 1",
  )
  // Wherever they are meanwhile.
  await symlink(at("in"), at("linked"))
  expect(await make("linked", { samplesPerShard: 2 })).toMatchObject({ resumed: 1, shards: 3, samples: 6 })
  for (const name of await readdir(at("whole"))) {
    if (name !== "_done") expect(await textOf(`out/${name}`), name).toBe(await textOf(`whole/${name}`))
  }
  // A shard that was damaged since is made again.
  await writeFile(at("out/00001.tar"), "short")
  expect(await make("in", { samplesPerShard: 2 })).toMatchObject({ resumed: 2, samples: 6 })
  expect(await textOf("out/00001.tar")).toBe(await textOf("whole/00001.tar"))
})

test("a call that made no shard binds nobody", async () => {
  await picture("in/0.jpg", 1)
  await writeFile(at("in/0.txt"), "\n")
  await writeFile(at("in/1.jpg"), "no picture")
  await expect(make("in", { maxFailures: 0 })).rejects.toThrow("it has no caption")
  // Nor does one that found no picture that can be used.
  await expect(make("in")).rejects.toThrow("none of the 2 pictures can be used")
  expect(await readdir(at("out", "_done"))).toEqual(["00000.json"])
  expect(await make("in", { captions: false, samplesPerShard: 5 })).toMatchObject({ samples: 1, resumed: 0 })
  await writeFile(at("out/shards.json"), "{")
  await expect(make("in", { captions: false, samplesPerShard: 5 })).rejects.toThrow("did not write")
})

test("what others wrote is not mixed with shards", async () => {
  await captioned(1)
  await mkdir(at("out"))
  await writeFile(at("out/other.tar"), "tar")
  await expect(make("in")).rejects.toThrow("out holds other.tar, which `mobileclip shards` did not write")
  expect(await readdir(at("out"))).toEqual(["other.tar"])
  await rm(at("out/other.tar"))
  await writeFile(at("out/00000.tar.index"), "of a shard that has gone")
  expect(await make("in")).toMatchObject({ shards: 1 })
  await expect(make("in", { out: at("in") })).rejects.toThrow("would be both read and written")
  await expect(make("out", { out: at("other") })).rejects.toThrow("is not a folder of pictures or a list of them")
})

test("a seed shuffles: the same samples in another order, the same for the same seed", async () => {
  await captioned(12)
  await make("in", { shuffle: 5, samplesPerShard: 20 })
  const order = (await samplesOf("00000.tar")).map(({ texts }) => texts[0]!)
  await make("in", { shuffle: 5, samplesPerShard: 20, out: at("again") })
  expect(await textOf("again/00000.tar")).toBe(await textOf("out/00000.tar"))
  const sorted = Array.from({ length: 12 }, (_, i) => `number ${i}`).sort()
  expect(order.toSorted()).toEqual(sorted)
  expect(order).not.toEqual(sorted)
})
