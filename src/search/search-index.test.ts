import { type ChildProcess, spawn } from "node:child_process"
import { chmodSync, cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setImmediate } from "node:timers/promises"
import { afterAll, afterEach, beforeAll, expect, test } from "vitest"
import { tinyInfo, tinyModel } from "../../test/tiny-model.ts"
import { main } from "../cli/main.ts"
import { float16ToFloat32, float32ToFloat16 } from "../core/arrays/half.ts"
import { l2Normalize } from "../core/arrays/similarity.ts"
import { exportModel } from "../export/export.ts"
import { loadModel } from "../weights/load-model.ts"
import type { Filters } from "./query/filters.ts"
import { findIndexModel } from "./query/query-model.ts"
import { SearchIndex } from "./search-index.ts"
import { IndexWriter } from "./store/index-writer.ts"
import type { ContentDetails, NewPicture } from "./store/picture-rows.ts"

const dim = 16
const count = 200
let folder: string
let model: string
const cacheBefore = process.env.XDG_CACHE_HOME
const pictures = join(tmpdir(), "no-such-pictures")
const settings = { orientation: "apply", decode: "exact", store: "file" } as const

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "search-index-"))
  process.env.XDG_CACHE_HOME = join(folder, "cache")
  model = join(folder, "tiny")
  await exportModel(tinyModel(), tinyInfo, model)
  const writer = await makeIndex(join(folder, "index"))
  writer.addPictures(
    writer.active!,
    Array.from({ length: count }, (_, n) => pictureOf(n)),
  )
  writer[Symbol.dispose]()
})

afterAll(() => {
  if (cacheBefore === undefined) delete process.env.XDG_CACHE_HOME
  else process.env.XDG_CACHE_HOME = cacheBefore
  rmSync(folder, { recursive: true, force: true })
})

let copies = 0
const children: ChildProcess[] = []
afterEach(() => {
  for (const child of children.splice(0)) child.kill()
})

function copy(): string {
  const to = join(folder, `copy-${copies++}`)
  cpSync(join(folder, "index"), to, { recursive: true })
  return to
}

async function makeIndex(path: string): Promise<IndexWriter> {
  const writer = await IndexWriter.open(path, "a test")
  const { identity } = await findIndexModel(model, null)
  writer.addGeneration({ model: "tiny", source: model, identity, dim, settings })
  writer.store.run("INSERT INTO roots (id, path) VALUES (1, ?)", pictures)
  return writer
}

function vectorOf(n: number): Float32Array {
  const values = Float32Array.from({ length: dim }, (_, d) => Math.sin(n * 12.9898 + d * 78.233 + n * d))
  return l2Normalize(values, dim)
}

const seasons = ["winter", "summer"]

function pictureOf(n: number, change: Partial<ContentDetails> = {}): NewPicture {
  const content: ContentDetails = {
    ...{ hash: Uint8Array.from({ length: 32 }, (_, i) => (i < 2 ? n >> (8 * i) : 7)), bytes: 1000 * (n + 1) },
    ...{ format: n % 4 === 0 ? "png" : "jpg", width: n % 3 === 0 ? 300 : 200, height: n % 3 === 2 ? 300 : 200 },
    ...{ orientation: 1, taken: n % 5 === 0 ? null : `20${10 + (n % 10)}-06-01T10:00:00`, lens: null },
    ...{
      camera: n % 2 === 0 ? "Google Pixel 7" : null,
      latitude: n % 2 ? n / 4 : null,
      longitude: n % 2 ? n / 2 : null,
    },
    ...{ caption: n === 3 ? 'a "quoted" 海辺 🐕 dog' : null, keywords: [], sharpness: n / count, ...change },
  }
  const path = `${n % 2 ? "a_b" : "ab"}/${seasons[n % 2]}${n < 10 ? "/beach" : ""}/IMG_${n}.jpg`
  return { content, vector: vectorOf(n), files: [{ root: 1, path, size: content.bytes, mtime: n }] }
}

/** As float16 stores them, in float64. */
const stored = Array.from({ length: count }, (_, n) =>
  Float64Array.from(float16ToFloat32(float32ToFloat16(vectorOf(n)))),
)

async function textVector(text: string): Promise<Float32Array> {
  await using open = await loadModel(model, { cache: false })
  return l2Normalize(await open.encodeTexts([text]), dim)
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((sum, value, d) => sum + value * b[d]!, 0)

function brute(query: ArrayLike<number>, isIn: (n: number) => boolean = () => true): number[] {
  const rows = stored.map((row, n) => ({ n, score: dot(query, row) })).filter(({ n }) => isIn(n))
  return rows.sort((x, y) => y.score - x.score || x.n - y.n).map(({ n }) => n)
}

const text = (value: string, weight = 1) => ({ kind: "text", text: value, weight }) as const
const rowsOf = (page: { hits: readonly { position: number }[] }) => page.hits.map(({ position }) => position)

test("ranks and cosines are those of float64: a text, terms with weights, a picture of the index", async () => {
  await using index = await SearchIndex.open(join(folder, "index"))
  const [red, dog] = [await textVector("red car"), await textVector("dog")]
  const page = await index.search({ terms: [text("red car")], limit: count, words: 0 })
  expect(rowsOf(page)).toEqual(brute(red))
  // A scan in float32 of 16 products rounds by some 1e-7 in all.
  for (const { cosine, position } of page.hits) expect(cosine).toBeCloseTo(dot(red, stored[position]!), 5)
  const mixed = red.map((value, d) => value - 0.5 * dog[d]!)
  const two = await index.search({ terms: [text("red car"), text("dog", -0.5)], limit: 20, words: 0 })
  expect(rowsOf(two)).toEqual(brute(mixed).slice(0, 20))
  const like = await index.similar(join(pictures, "ab/winter/beach/IMG_4.jpg"), { limit: 20 })
  expect(rowsOf(like)).toEqual(brute(stored[4]!, (n) => n !== 4).slice(0, 20))
})

test("a text that was looked for before needs no model", async () => {
  const path = copy()
  await using first = await SearchIndex.open(path)
  const found = rowsOf(await first.search({ terms: [text("kept between runs")] }))
  await first[Symbol.asyncDispose]()
  const writer = await IndexWriter.open(path, "a test")
  writer.store.run("UPDATE generations SET source = '/gone'")
  writer[Symbol.dispose]()
  await using second = await SearchIndex.open(path)
  expect(rowsOf(await second.search({ terms: [text("kept between runs")] }))).toEqual(found)
  await expect(second.search({ terms: [text("never looked for")] })).rejects.toThrow(
    /is of the model \/gone, which cannot/,
  )
})

const filterCases: [string, Filters, (n: number) => boolean][] = [
  ["taken", { taken: { from: "2013", until: "2016" } }, (n) => n % 5 !== 0 && n % 10 >= 3 && n % 10 < 6],
  ["a folder, whose name holds a wildcard of LIKE", { folders: [join(pictures, "a_b")] }, (n) => n % 2 === 1],
  ["a folder above the root", { folders: [tmpdir()] }, () => true],
  ["a folder with a name that begins as the root's", { folders: [pictures.slice(0, -1)] }, () => false],
  ["the root", { folders: [pictures] }, () => true],
  ["a folder below", { folders: [join(pictures, "ab/winter/beach"), "/elsewhere"] }, (n) => n % 2 === 0 && n < 10],
  ["names", { names: ["img_1?.jpg", "img_7.*"] }, (n) => (n >= 10 && n < 20) || n === 7],
  ["pixels", { sizes: [{ than: "larger", unit: "pixels", pixels: 60_000 }] }, (n) => n % 3 !== 1],
  ["bytes", { sizes: [{ than: "smaller", unit: "bytes", bytes: 50_000 }] }, (n) => n < 49],
  ["sides", { sizes: [{ than: "larger", unit: "sides", longer: 300, shorter: 200 }] }, (n) => n % 3 !== 1],
  ["shapes", { shapes: ["landscape", "square"] }, (n) => n % 3 !== 2],
  ["a camera", { cameras: ["pixel"] }, (n) => n % 2 === 0],
  ["formats", { formats: ["png"] }, (n) => n % 4 === 0],
  // A degree of latitude has 111 km.
  ["a place", { near: { latitude: 10, longitude: 20, kilometers: 130 } }, (n) => n === 39 || n === 41],
  ["two of them", { formats: ["png"], shapes: ["portrait"] }, (n) => n % 4 === 0 && n % 3 === 2],
]

test.each(filterCases)("filter by %s", async (_, filters, isIn) => {
  await using index = await SearchIndex.open(join(folder, "index"))
  const query = await textVector("x")
  const expected = brute(query, isIn)
  for (let twice = 0; twice < 2; twice++) {
    const page = await index.search({ terms: [text("x")], filters, limit: count, words: 0 })
    expect([rowsOf(page).sort((a, b) => a - b), page.filtered]).toEqual([
      expected.sort((a, b) => a - b),
      expected.length,
    ])
  }
})

test("words: the share of the query's words by their idf times the weight, by hand", async () => {
  await using index = await SearchIndex.open(join(folder, "index"))
  const page = await index.search({ terms: [text("beach winter")], limit: count, words: 0.5, explain: true })
  // 10 paths say beach, 100 say winter, of 200; idf = ln(1 + (N - n + 0.5) / (n + 0.5)).
  const [beach, winter] = [Math.log(1 + 190.5 / 10.5), Math.log(1 + 100.5 / 100.5)]
  const share = (n: number) => ((n < 10 ? beach : 0) + (n % 2 === 0 ? winter : 0)) / (beach + winter)
  for (const { position, cosine, score, words } of page.hits) {
    expect(words!.score).toBeCloseTo(share(position), 10)
    // Scores are float32.
    expect(score).toBeCloseTo(cosine + 0.5 * share(position), 6)
  }
  const query = await textVector("beach winter")
  const expected = stored
    .map((row, n) => ({ n, score: dot(query, row) + 0.5 * share(n) }))
    .sort((x, y) => y.score - x.score)
  expect(rowsOf(page)).toEqual(expected.map(({ n }) => n))
  expect(page.explanation!.hits.map(({ terms }) => terms[0]!.cosine)).toEqual(page.hits.map(({ cosine }) => cosine))
})

test.each(['"quoted"', "quoted* OR NEAR(a b)", "海辺", "dog) AND (", "path: dog", "-quoted", 'dog"'])(
  "words of the query are never operators: %s",
  async (value) => {
    await using index = await SearchIndex.open(join(folder, "index"))
    const page = await index.search({ terms: [text(value)], words: 1, limit: count })
    expect(page.hits.find(({ position }) => position === 3)!.words!.score).toBeGreaterThan(0)
  },
)

test.each(["🐕", "...", "''"])("a query without a word: %s", async (value) => {
  await using index = await SearchIndex.open(join(folder, "index"))
  expect((await index.search({ terms: [text(value)], words: 1 })).hits.every(({ words }) => words === null)).toBe(true)
})

test.each([0, 0.3])("pages are the whole order while better pictures are added; words weigh %s", async (words) => {
  const path = copy()
  const writer = await IndexWriter.open(path, "a test")
  await using index = await SearchIndex.open(path)
  const request = { terms: [text("beach")], words, limit: 17 }
  const whole = rowsOf(await index.search({ ...request, limit: 1000 }))
  const found: number[] = []
  const ranks: number[] = []
  let cursor: string | null = null
  do {
    const page = await index.search({ ...request, cursor })
    found.push(...rowsOf(page))
    ranks.push(...page.hits.map(({ rank }) => rank))
    cursor = page.cursor
    const n = writer.store.count
    const better = { ...pictureOf(n), vector: await textVector("beach") }
    writer.addPictures(writer.active!, [{ ...better, files: [{ root: 1, path: `beach/${n}`, size: 1, mtime: 1 }] }])
  } while (cursor !== null)
  expect(found).toEqual(whole)
  expect(ranks).toEqual(whole.map((_, i) => i + 1))
  expect(whole.includes(rowsOf(await index.search(request))[0]!)).toBe(false)
  writer[Symbol.dispose]()
})

test("a cursor of another query, a damaged one, and one of before a migration are refused", async () => {
  const path = copy()
  await using index = await SearchIndex.open(path)
  const { cursor } = await index.search({ terms: [text("a")], limit: 3 })
  await expect(index.search({ terms: [text("b")], cursor })).rejects.toThrow(/of another query or other filters/)
  await expect(index.search({ terms: [text("a")], filters: { formats: ["png"] }, cursor })).rejects.toThrow(
    /other filters/,
  )
  await expect(index.search({ terms: [text("a")], cursor: "nonsense" })).rejects.toThrow(/is not one that a page/)
  await migrate(path)
  await expect(index.search({ terms: [text("a")], cursor })).rejects.toThrow(/was migrated or compacted/)
})

/** To a generation with the vectors in reverse order. */
async function migrate(path: string, isReverse = true): Promise<void> {
  const writer = await IndexWriter.open(path, "a test")
  const next = writer.addGeneration({ ...writer.active!, settings })
  for (let n = 0; n < count; n++) {
    writer.setVectors(next, n, vectorOf(isReverse ? count - 1 - n : n))
    if (n % 50 === 0) await setImmediate()
  }
  await writer.activate(next)
  writer[Symbol.dispose]()
}

test("queries during migrations are of one generation, and none fails", async () => {
  const path = copy()
  await using index = await SearchIndex.open(path)
  const query = await textVector("x")
  const before = brute(query)
  const after = before.map((n) => count - 1 - n)
  const isOne = (rows: readonly number[]) =>
    [before, after].some((order) => String(order.slice(0, 30)) === String(rows))
  let isDone = false
  const migrations = (async () => {
    for (let turn = 0; turn < 5; turn++) await migrate(path, turn % 2 === 0)
    isDone = true
  })()
  let asked = 0
  do {
    expect(isOne(rowsOf(await index.search({ terms: [text("x")], words: 0, limit: 30 })))).toBe(true)
    asked++
  } while (!isDone)
  await migrations
  // Some before, some between the switches.
  expect(asked).toBeGreaterThan(5)
  expect(rowsOf(await index.search({ terms: [text("x")], words: 0, limit: 30 }))).toEqual(after.slice(0, 30))
})

test("rows of NaN and contents without a file are never hits", async () => {
  const path = copy()
  const writer = await IndexWriter.open(path, "a test")
  await using index = await SearchIndex.open(path)
  const query = await textVector("x")
  const [first, second] = brute(query)
  expect(rowsOf(await index.search({ terms: [text("x")], words: 0 })).slice(0, 2)).toEqual([first, second])
  writer.removeFile(first! + 1)
  writer.setVectors(writer.active!, second!, new Float32Array(dim).fill(Number.NaN))
  for (const filters of [
    {},
    { folders: [pictures] },
    { sizes: [{ than: "larger", unit: "bytes", bytes: 1 }] },
  ] as const) {
    const rows = rowsOf(await index.search({ terms: [text("x")], filters, words: 0, limit: count }))
    expect(rows).toEqual(brute(query, (n) => n !== first && n !== second))
  }
  writer[Symbol.dispose]()
})

test("weights that changed, and another model, are refused with the command that migrates", async () => {
  const other = join(folder, "other")
  const layers = { layers: 2 }
  await exportModel(tinyModel(layers), tinyInfo, other)
  const path = join(folder, "index")
  await expect(SearchIndex.open(path, { model: other })).rejects.toMatchObject({
    message: expect.stringMatching(/is another model than the one of the index/),
    hint: expect.stringContaining(`mobileclip index migrate --index ${path} --model ${other}`),
  })
  const renamed = join(folder, "renamed")
  cpSync(model, renamed, { recursive: true })
  await using same = await SearchIndex.open(path, { model: renamed })
  expect((await same.search({ terms: [text("by the renamed one")] })).hits.length).toBe(20)
})

test("duplicates are those of a brute force; their best has most pixels, and no chain joins groups", async () => {
  await using index = await SearchIndex.open(join(folder, "index"))
  const threshold = 0.7
  const { groups } = await index.duplicates({ threshold })
  const better = (x: number, y: number) => {
    const pixels = (n: number) => (n % 3 === 1 ? 40_000 : 60_000)
    return pixels(y) - pixels(x) || y - x
  }
  const left = new Set([...stored.keys()].sort(better))
  const expected: number[][] = []
  for (const best of left) {
    const near = [...left].filter((n) => n !== best && dot(stored[best]!, stored[n]!) >= threshold)
    for (const n of near) left.delete(n)
    if (near.length > 0) expected.push([best, ...near.sort((x, y) => x - y)])
  }
  const found = groups.map(({ best, others }) => [
    best.position,
    ...others.map((o) => o.position).sort((x, y) => x - y),
  ])
  const sorted = (all: number[][]) => all.sort((x, y) => x[0]! - y[0]!)
  expect(expected.length).toBeGreaterThan(3)
  expect(sorted(found)).toEqual(sorted(expected))
})

test("describe and hasFile", async () => {
  await using index = await SearchIndex.open(join(folder, "index"))
  expect(index.describe()).toMatchObject({
    ...{ pictures: count, files: count, model: "tiny", dim, roots: [pictures] },
    taken: { first: "2011-06-01T10:00:00", last: "2019-06-01T10:00:00" },
    cameras: [{ name: "Google Pixel 7", pictures: count / 2 }],
  })
  expect(index.hasFile(join(pictures, "ab/winter/beach/IMG_4.jpg"))).toBe(true)
  expect(index.hasFile(join(pictures, "ab/winter/beach/IMG_400.jpg"))).toBe(false)
})

test("an index without pictures, and a read-only folder", async () => {
  const empty = await makeIndex(join(folder, "empty"))
  empty[Symbol.dispose]()
  await using none = await SearchIndex.open(join(folder, "empty"))
  expect((await none.search({ terms: [text("a")] })).hits).toEqual([])
  const path = copy()
  chmodSync(path, 0o555)
  await using index = await SearchIndex.open(path)
  expect((await index.search({ terms: [text("a")] })).hits.length).toBe(20)
  chmodSync(path, 0o755)
})

async function run(...words: string[]) {
  const [out, err]: [string[], string[]] = [[], []]
  const output = { out: (part: string) => void out.push(part), err: (part: string) => void err.push(part) }
  const code = await main(["search", ...words], undefined, output)
  return { code, out: out.join(""), err: err.join("") }
}

test("the command: a table, JSON, paths, all pages, wrong usage", async () => {
  const index = ["--index", join(folder, "index")]
  const table = await run("red", "car", "-people", "--limit", "3", ...index)
  expect([table.code, table.out.match(/\[missing\]/g)?.length]).toEqual([0, 3])
  const json = await run("dog", "--json", "--explain", "--limit", "7", ...index)
  const page = JSON.parse(json.out)
  expect([page.query, page.hits.length, page.explanation.hits.length]).toEqual(['"dog"', 7, 7])
  const pages = await run("dog", "-0", "--page-all", "--limit", "90", ...index)
  expect(new Set(pages.out.split("\0").slice(0, -1)).size).toBe(count)
  const whole = JSON.parse((await run("dog", "--json", "--explain", "--page-all", ...index)).out)
  expect(whole.hits.map(({ rank }: { rank: number }) => rank)).toEqual(Array.from({ length: count }, (_, i) => i + 1))
  expect(whole.explanation.hits.map(({ cosine }: { cosine: number }) => Number(cosine.toPrecision(7)))).toEqual(
    whole.hits.map(({ cosine }: { cosine: number }) => cosine),
  )
  expect((await run("--duplicates", "--threshold", "0.7", "--json", "--progress", "none", ...index)).code).toBe(0)
  expect(await run("--duplicates", "dog", ...index)).toMatchObject({ code: 2 })
  expect(await run("dog", "--words", "2", ...index)).toMatchObject({ code: 2 })
  expect((await run("dog", "--index", join(folder, "nowhere"))).err).toMatch(/there is no index in/)
})

test("another process adds while this one pages", async () => {
  const path = copy()
  const script = join(folder, "append.mjs")
  writeFileSync(
    script,
    `import { DatabaseSync } from ${JSON.stringify(import.meta.resolve("@photostructure/sqlite"))}
     const db = new DatabaseSync(${JSON.stringify(join(path, "index.sqlite"))})
     db.exec("PRAGMA busy_timeout = 10000")
     process.stdout.write("ready")
     for (let n = 1000; ; n++) {
       db.exec("BEGIN IMMEDIATE")
       db.prepare("INSERT INTO files (root, path, size, mtime, content) VALUES (1, ?, 1, 1, 1)").run("x" + n)
       db.exec("COMMIT")
       await new Promise((resolve) => setTimeout(resolve, 1))
     }`,
  )
  const child = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] })
  children.push(child)
  await new Promise((resolve) => child.stdout.once("data", resolve))
  await using index = await SearchIndex.open(path)
  const found: number[] = []
  let cursor: string | null = null
  do {
    const page = await index.search({ terms: [text("y")], limit: 9, cursor, filters: { folders: [pictures] } })
    found.push(...rowsOf(page))
    cursor = page.cursor
  } while (cursor !== null)
  expect(child.exitCode).toBe(null)
  expect(found.length).toBe(count)
  expect(new Set(found).size).toBe(count)
})
