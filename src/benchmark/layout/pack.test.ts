import { createHash } from "node:crypto"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import sharp from "sharp"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { UserError } from "../../core/errors.ts"
import { openDataset } from "./open-dataset.ts"
import { type PackOptions, packDataset } from "./pack.ts"

let folder: string
const at = (...names: string[]) => join(folder, ...names)

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "pack-"))
})
afterEach(() => {
  vi.restoreAllMocks()
  rmSync(folder, { recursive: true })
})

/** A picture of one shade, in the format that its name says. */
async function picture(path: string, shade: number): Promise<void> {
  mkdirSync(dirname(at(path)), { recursive: true })
  await sharp({ create: { width: 8, height: 8, channels: 3, background: { r: shade, g: 9, b: 9 } } }).toFile(at(path))
}

function text(path: string, content: string): void {
  mkdirSync(dirname(at(path)), { recursive: true })
  writeFileSync(at(path), content)
}

const pack = (source: string, changes: Partial<PackOptions> = {}) =>
  packDataset({ source: at(source), out: at("root/my/birds"), ...changes })

const packed = (...names: string[]) => at("root/my/birds", ...names)

/** What the packed task gives, with pictures as paths of the same bytes. */
async function read(split = "test") {
  const paths = new Map(
    (readdirSync(at("in"), { recursive: true, encoding: "utf8" }) as string[])
      .filter((name) => /\.(jpg|png|webp)$/.test(name))
      .map((name) => [digest(readFileSync(at("in", name))), name]),
  )
  const dataset = await openDataset(at("root"), "my/birds", { split })
  const samples: unknown[][] = []
  for await (const { key, images, label, texts, metadata } of dataset.samples())
    samples.push([key, paths.get(digest(images[0]!)), ...(label === null ? texts : [label]), ...(metadata ?? [])])
  return { dataset, samples }
}

const digest = (bytes: Uint8Array) => createHash("sha1").update(bytes).digest("hex")

async function birds(): Promise<void> {
  await picture("in/blue_jay/1.jpg", 10)
  await picture("in/blue_jay/2.png", 20)
  await picture("in/owl/1.webp", 30)
}

/** Files of the task, with hashes of their bytes. */
function contents(root = packed()): Record<string, string> {
  const names = readdirSync(root, { recursive: true, encoding: "utf8" }) as string[]
  const files = names.filter((name) => /\.\w+$/.test(name)).sort()
  return Object.fromEntries(files.map((name) => [name, digest(readFileSync(join(root, name)))]))
}

test("class folders are a task below the root, with names and prompts to edit, and the bytes that they had", async () => {
  await birds()
  const result = await pack("in", { samplesPerShard: 2, templates: ["a {}", "a photo of {c}"] })
  expect(result).toMatchObject({
    ...{
      split: "test",
      kind: "classification",
      samples: 3,
      shards: 2,
      classNames: ["blue jay", "owl"],
      captions: null,
    },
    ...{ groups: null, leftOut: [] },
  })
  expect(readFileSync(packed("classnames.txt"), "utf8")).toBe("blue jay\nowl\n")
  expect(readFileSync(packed("zeroshot_classification_templates.txt"), "utf8")).toBe("a {c}\na photo of {c}\n")
  expect(readFileSync(packed("test/nshards.txt"), "utf8")).toBe("2\n")
  expect(existsSync(packed("dataset_type.txt"))).toBe(false)
  const { dataset, samples } = await read()
  expect(dataset).toMatchObject({ kind: "classification", classNames: ["blue jay", "owl"], groups: null, notes: [] })
  expect(samples).toEqual([
    ["0.tar/s0000000", "blue_jay/1.jpg", 0],
    ["0.tar/s0000001", "blue_jay/2.png", 0],
    ["1.tar/s0000002", "owl/1.webp", 1],
  ])
})

test("the same pictures give the same bytes", async () => {
  await birds()
  await pack("in")
  await pack("in", { out: at("again") })
  expect(contents(at("again"))).toEqual(contents())
  expect(Object.keys(contents())).toEqual([
    ...["classnames.txt", "pack.json", "test/0.tar", "test/nshards.txt", "zeroshot_classification_templates.txt"],
  ])
  expect(readdirSync(at("root/my"))).toEqual(["birds"])
})

test("captions beside pictures are retrieval", async () => {
  await birds()
  text("in/blue_jay/1.txt", "one\n\n two \n")
  text("in/blue_jay/2.txt", "three\u2028four")
  text("in/owl/1.txt", "\n")
  const result = await pack("in")
  expect(result).toMatchObject({ kind: "retrieval", samples: 2, captions: 3, classNames: null })
  expect(result.leftOut).toEqual([{ path: "owl/1.webp", reason: "it has no caption" }])
  expect(JSON.parse(readFileSync(packed("test/failures.jsonl"), "utf8"))).toEqual(result.leftOut[0])
  const { dataset, samples } = await read()
  expect(dataset.kind).toBe("retrieval")
  expect(samples).toEqual([
    ["0.tar/s0000000", "blue_jay/1.jpg", "one", "two"],
    ["0.tar/s0000001", "blue_jay/2.png", "three four"],
  ])
})

test("a CSV with classes and groups; a row without one is left out", async () => {
  await birds()
  text(
    "in/list.csv",
    "file,kind,place,year\nowl/1.webp, owl ,wood,2\nblue_jay/1.jpg,jay,lake,1\nblue_jay/2.png,jay,,1\nnone.jpg,,lake,1\n",
  )
  const options = { imageColumn: "file", classColumn: "kind", groupColumns: ["place", "year"] }
  const result = await pack("in/list.csv", options)
  expect(result.leftOut.map(({ reason }) => reason)).toEqual(['it has no "place"', expect.stringContaining("none.jpg")])
  const groups = [
    { name: "place", groups: ["lake", "wood"] },
    { name: "year", groups: ["1", "2"] },
  ]
  expect(result.groups).toEqual(groups)
  const { dataset, samples } = await read()
  expect(dataset).toMatchObject({ classNames: ["jay", "owl"], groups })
  expect(samples).toEqual([
    ["0.tar/s0000000", "owl/1.webp", 1, 1, 1],
    ["0.tar/s0000001", "blue_jay/1.jpg", 0, 0, 0],
  ])
})

test("several captions of a picture: rows with the same picture, and lists", async () => {
  await birds()
  text("in/list.csv", "filepath,title\nowl/1.webp,one\nblue_jay/1.jpg,two\nowl/1.webp,three\n")
  const expected = [
    ["0.tar/s0000000", "owl/1.webp", "one", "three"],
    ["0.tar/s0000001", "blue_jay/1.jpg", "two"],
  ]
  expect(await pack("in/list.csv")).toMatchObject({ kind: "retrieval", samples: 2, captions: 3 })
  expect((await read()).samples).toEqual(expected)
  rmSync(at("root"), { recursive: true })
  text(
    "in/list.jsonl",
    '{"image": "owl/1.webp", "captions": ["one", "three"]}\n{"image": "blue_jay/1.jpg", "caption": "two"}\n',
  )
  await pack("in/list.jsonl")
  expect((await read()).samples).toEqual(expected)
})

test("a further split keeps the classes' order, and edited names stay", async () => {
  await birds()
  await pack("in")
  writeFileSync(packed("classnames.txt"), "jay\nlittle owl\n")
  await picture("more/owl/2.jpg", 40)
  const before = contents()
  await pack("more", { split: "train" })
  expect(contents()).toMatchObject(before)
  rmSync(at("in"), { recursive: true })
  await picture("in/owl/2.jpg", 40)
  const { dataset, samples } = await read("train")
  expect(dataset.classNames).toEqual(["jay", "little owl"])
  expect(samples).toEqual([["0.tar/s0000000", "owl/2.jpg", 1]])
  await picture("other/tit/1.jpg", 50)
  await expect(pack("other", { split: "val" })).rejects.toThrow(`${packed()} has no class "tit"`)
  await expect(pack("in")).rejects.toThrow(`${packed()} has the split test already`)
})

test("what cannot be used is left out with its reason; nothing at all is an error that leaves nothing", async () => {
  await birds()
  text("in/owl/2.jpg", "text")
  await picture("in/owl/3.gif", 60)
  writeFileSync(at("in/owl/4.jpg"), readFileSync(at("in/blue_jay/1.jpg")).subarray(0, 200))
  const { leftOut, samples } = await pack("in")
  expect(samples).toBe(3)
  expect(leftOut).toEqual([
    { path: "owl/2.jpg", reason: "owl/2.jpg is not a picture" },
    { path: "owl/3.gif", reason: "it is a GIF picture, and the benchmark's layout has JPEG, PNG and WebP" },
    { path: "owl/4.jpg", reason: expect.stringContaining("owl/4.jpg is damaged or cut off") },
  ])
  text("none/owl/1.jpg", "text")
  await expect(pack("none", { out: at("new/task") })).rejects.toThrow("none of the 1 pictures can be used")
  expect(existsSync(at("new"))).toBe(false)
})

test("an abort leaves nothing", async () => {
  await birds()
  const abort = new AbortController()
  const startProgress = () => ({ update: () => abort.abort(new Error("enough")), done() {} })
  await expect(pack("in", { startProgress, signal: abort.signal })).rejects.toThrow("enough")
  expect(existsSync(at("root"))).toBe(false)
})

// biome-ignore format: a table
const wrong: [string, () => unknown, Partial<PackOptions> & { source?: string }, string][] = [
  ["a folder with other content", () => text("root/my/birds/x.txt", "mine"), {}, "FOLDER/root/my/birds has other content (x.txt) and is not replaced"],
  ["a picture in no class", () => picture("in/loose.jpg", 5), {}, "FOLDER/in/loose.jpg has no caption and is in no class folder"],
  ["an empty class", () => mkdirSync(at("in/tit")), {}, "FOLDER/in/tit holds no pictures"],
  ["two folders of one class", () => picture("in/blue jay/9.jpg", 5), {}, 'the folders "blue jay" and "blue_jay" are both the class "blue jay"'],
  ["a class with a line break", () => picture("in/a\nb/9.jpg", 5), {}, 'the class "a\\nb" is not one line'],
  ["parts of data", async () => { await picture("parts/train/a/1.jpg", 5); await picture("parts/test/a/1.jpg", 6) }, { source: "parts" }, "FOLDER/parts holds parts of the data, not classes"],
  ["columns of a folder", () => {}, { classColumn: "kind" }, "FOLDER/in is a folder, which has no columns"],
  ["shards", () => text("tars/0.tar", "x"), { source: "tars" }, "FOLDER/tars is not a folder of pictures or a list of them"],
  ["a list of neither", () => text("l.csv", "filepath,label\nin/owl/1.webp,x\n"), { source: "l.csv" }, 'FOLDER/l.csv has no column "title", only "filepath", "label"'],
  ["no such column of groups", () => text("l.csv", "filepath,title\nin/owl/1.webp,x\n"), { source: "l.csv", groupColumns: ["place"] }, 'FOLDER/l.csv has no column "place" for groups, only none'],
  ["two groups of a picture", () => text("l.csv", "filepath,title,g\nin/owl/1.webp,x,1\nin/owl/1.webp,y,2\n"), { source: "l.csv", groupColumns: ["g"] }, 'FOLDER/l.csv: FOLDER/in/owl/1.webp is both "1" and "2"'],
  ["a template without a place", () => {}, { templates: ["a photo"] }, 'the template "a photo" is not one line with a place for the class name'],
  ["a split that is a path", () => {}, { split: "../x" }, 'the split\'s name names "../x", which is not a file name'],
  ["no samples in a shard", () => {}, { samplesPerShard: 0 }, "samplesPerShard is 0, expected a whole number from 1 to 100000"],
]

test.each(wrong)("%s is one line", async (...[, prepare, { source = "in", ...options }, message]) => {
  await birds()
  await prepare()
  const error = await pack(source, options).catch((error: unknown) => error)
  expect(error).toBeInstanceOf(UserError)
  expect((error as Error).message.replaceAll(folder, "FOLDER")).toBe(message)
  if (message.includes('no column "title"')) expect((error as UserError).hint).toContain("--class-column")
})

test("a signal in the middle of a list's rows ends the reading; it is shown, and nothing is left", async () => {
  text("in/list.csv", `filepath,title\n${"a.jpg,one\n".repeat(2000)}`)
  const stop = new AbortController()
  const shown: unknown[] = []
  let now = 0
  vi.spyOn(performance, "now").mockImplementation(() => (now += 2000))
  const startProgress: PackOptions["startProgress"] = (label, total, { unit }) => {
    shown.push([label, total, unit])
    setImmediate(() => stop.abort())
    return { update: (done) => shown.push(done), done: () => shown.push("done") }
  }
  await expect(pack("in/list.csv", { startProgress, signal: stop.signal })).rejects.toThrow("aborted")
  expect(shown[0]).toEqual([`reading ${at("in/list.csv")}`, 2000, "rows"])
  expect(shown.at(-1)).toBeLessThan(2000)
  expect(existsSync(packed())).toBe(false)
})

test("the pass over a large list is shown and ends by the signal", async () => {
  text("in/list.csv", `filepath,title\n${`${"a".repeat(1000)}.jpg,one\n`.repeat(9000)}`)
  const stop = new AbortController()
  let now = 0
  vi.spyOn(performance, "now").mockImplementation(() => (now += 2000))
  const units: string[] = []
  const startProgress: PackOptions["startProgress"] = (_label, _total, { unit }) => {
    units.push(unit)
    stop.abort()
    return { update() {}, done() {} }
  }
  await expect(pack("in/list.csv", { startProgress, signal: stop.signal })).rejects.toThrow("aborted")
  expect(units).toEqual(["MB"])
})
