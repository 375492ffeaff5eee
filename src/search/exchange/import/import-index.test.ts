/** Imports into real indexes, with a small model: which vectors are taken over, what is encoded, and going on. */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { tinyInfo, tinyModel } from "../../../../test/tiny-model.ts"
import { renderScene } from "../../../data/scenes/render.ts"
import { sampleScene } from "../../../data/scenes/scene.ts"
import { embed } from "../../../embed/embed.ts"
import { fileInputs } from "../../../embed/inputs.ts"
import { openEncoder } from "../../../embed/open-encoder.ts"
import { exportModel } from "../../../export/export.ts"
import { backgroundPrompts } from "../../calibrate/prompts.ts"
import { openTableScanner } from "../../lance/index-table.ts"
import { IndexStore } from "../../store/index-store.ts"
import { IndexWriter } from "../../store/index-writer.ts"
import { exportIndex } from "../export/export-index.ts"
import { openSource } from "../sources/open-source.ts"
import { type ImportOptions, importIndex } from "./import-index.ts"

let folder: string
const at = (...names: string[]) => join(folder, ...names)
const width = tinyInfo.config.embedDim
let paths: string[]
/** By their paths, as the model gives them with pictures turned. */
let vectors: Map<string, Float32Array>
const model = () => at("tiny")

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "import-"))
  mkdirSync(at("pictures", "sub"), { recursive: true })
  await exportModel(tinyModel(), tinyInfo, model())
  paths = Array.from({ length: 20 }, (_, i) => at("pictures", i < 10 ? "" : "sub", `${i}.jpg`))
  for (const [i, path] of paths.entries()) writeFileSync(path, await renderScene(sampleScene(7, "train", i)))
  writeFileSync(at("pictures", "3.txt"), "three")
  for (const orientation of ["apply", "ignore"] as const)
    await embed({
      models: [model()],
      inputs: fileInputs("pictures", paths),
      out: at(orientation),
      orientation,
      threads: 0,
    })
  vectors = await vectorsIn(at("apply"))
})
afterAll(() => rmSync(folder, { recursive: true }))

async function vectorsIn(path: string): Promise<Map<string, Float32Array>> {
  await using source = await openSource(path)
  const found = new Map<string, Float32Array>()
  for await (const { path, vector } of source.pictures()) found.set(path, vector!)
  return found
}

/** What the index holds, by path. */
async function contentOf(index: string): Promise<Map<string, Float32Array>> {
  await exportIndex(index, { to: `${index}.npy`, format: "npy", store: "float32" })
  return vectorsIn(`${index}.npy`)
}

let runs = 0
const newIndex = () => at(`index-${runs++}`)
const lines = (name: string, rows: readonly object[]) => {
  writeFileSync(at(name), rows.map((row) => `${JSON.stringify(row)}\n`).join(""))
  return at(name)
}
const run = (index: string, from: string, options: ImportOptions = {}) =>
  importIndex(index, from, { model: model(), threads: 0, ...options })

/** Components of unit vectors in float16 differ by 2^-12 at most. */
function expectVectors(found: ReadonlyMap<string, Float32Array>, wanted: ReadonlyMap<string, Float32Array>): void {
  expect([...found.keys()].sort()).toEqual([...wanted.keys()].sort())
  for (const [path, vector] of wanted)
    for (const [d, value] of found.get(path)!.entries())
      expect(Math.abs(value - vector[d]!)).toBeLessThanOrEqual(2 ** -12)
}

test("vectors of the same weights are taken over, and nothing is encoded; once more, nothing is added", async () => {
  const index = newIndex()
  expect(await run(index, at("apply"))).toMatchObject({
    ...{ kind: "clip-retrieval", pictures: 20, added: 20, encoded: 0, known: 0, missing: 0, failed: 0 },
    vectors: { reused: true, reason: "they are by the same weights, tiny", check: null },
  })
  expectVectors(await contentOf(index), vectors)
  expect(await run(index, at("apply"))).toMatchObject({ added: 0, known: 20 })
  expectVectors(await contentOf(index), vectors)
})

test("vectors of pictures that were not turned are not those of the index: pictures are encoded", async () => {
  const index = newIndex()
  expect(await run(index, at("ignore"))).toMatchObject({ added: 20, encoded: 20, vectors: { reused: false } })
  expectVectors(await contentOf(index), vectors)
})

const scaled = (path: string, factor: number) => Array.from(vectors.get(path)!, (value) => value * factor)
/** Another model's, as far as anybody can see. */
const strange = (i: number) => Array.from({ length: width }, (_, d) => Math.sin(i + d * d))

test("a source without a model: only with --same-model, and only where a sample agrees", async () => {
  const good = lines(
    "good.jsonl",
    paths.map((path) => ({ path, vector: scaled(path, 3) })),
  )
  const bad = lines(
    "bad.jsonl",
    paths.map((path, i) => ({ path, vector: strange(i) })),
  )
  const [first, second, third] = [newIndex(), newIndex(), newIndex()]
  expect(await run(first, good)).toMatchObject({ encoded: 20, vectors: { reused: false, check: null } })
  const taken = await run(second, good, { sameModel: true })
  expect(taken).toMatchObject({ encoded: 0, added: 20, vectors: { reused: true } })
  // Between 16 and 31 are kept: all 20.
  expect(taken.vectors.check).toMatchObject({ compared: 20, alike: 20 })
  expect(taken.vectors.check!.least).toBeGreaterThan(0.9999)
  expectVectors(await contentOf(second), vectors)
  const refused = await run(third, bad, { sameModel: true })
  expect(refused).toMatchObject({ encoded: 20, vectors: { reused: false, check: { compared: 20, alike: 0 } } })
  expectVectors(await contentOf(third), vectors)
})

test("two edited pictures of 20 do not make it another model, three do", async () => {
  const edited = (count: number) =>
    lines(
      `edited-${count}.jsonl`,
      paths.map((path, i) => ({ path, vector: i < count ? strange(i) : scaled(path, 1) })),
    )
  const check = (count: number) => run(newIndex(), edited(count), { sameModel: true, check: true })
  expect((await check(2)).vectors).toMatchObject({ reused: true, check: { alike: 18 } })
  expect((await check(3)).vectors).toMatchObject({ reused: false, check: { alike: 17 } })
})

test("--check writes nothing", async () => {
  const index = newIndex()
  expect(await run(index, at("apply"), { check: true })).toMatchObject({
    added: 0,
    vectors: { reused: true, check: { compared: 20 } },
  })
  expect(existsSync(index)).toBe(false)
})

test("vectors of another width, and what has neither a file nor a vector", async () => {
  const source = lines("narrow.jsonl", [
    { path: paths[0], vector: [1, 2] },
    { path: at("gone.jpg"), vector: [1, 2] },
  ])
  const index = newIndex()
  const result = await run(index, source, { sameModel: true })
  expect(result).toMatchObject({ added: 1, encoded: 1, leftOut: 1 })
  expect(result.vectors.reason).toBe(`they have 2 values, and tiny gives ${width}`)
})

test("a file that is not here is kept by its path; copies share a vector; captions are kept; other values are encoded", async () => {
  copyFileSync(paths[1]!, at("pictures", "copy.jpg"))
  writeFileSync(at("pictures", "not.jpg"), "nothing")
  const away = "/phone/DCIM/9.jpg"
  const source = lines("mixed.jsonl", [
    { path: paths[0], vector: scaled(paths[0]!, 1), caption: "zero" },
    { path: paths[1], vector: scaled(paths[1]!, 1) },
    { path: at("pictures", "copy.jpg"), vector: scaled(paths[1]!, 1) },
    { path: away, vector: scaled(paths[9]!, 1) },
    { path: "pictures/sub/12.jpg", vector: Array(width).fill(0) },
    { path: at("pictures", "not.jpg"), vector: scaled(paths[2]!, 1) },
    { path: "https://example.org/x.jpg", vector: scaled(paths[2]!, 1) },
  ])
  const index = newIndex()
  const map = [{ from: "/phone/DCIM", to: at("pictures", "phone") }]
  const failures: string[] = []
  const options = {
    sameModel: true,
    map,
    root: at("pictures"),
    onFailure: (_: string, reason: string) => failures.push(reason),
  }
  const result = await run(index, source, options)
  expect(result).toMatchObject({ pictures: 7, added: 5, encoded: 1, missing: 1, leftOut: 1, failed: 1 })
  expect(failures[0]).toContain("not.jpg")
  const wanted = new Map([
    ...[0, 1, 12].map((i) => [paths[i]!, vectors.get(paths[i]!)!] as const),
    [at("pictures", "copy.jpg"), vectors.get(paths[1]!)!],
    [at("pictures", "phone", "9.jpg"), vectors.get(paths[9]!)!],
  ])
  expectVectors(await contentOf(index), wanted)
  await using exported = await openSource(`${index}.npy`)
  for await (const { path, caption } of exported.pictures()) expect(caption).toBe(path === paths[0] ? "zero" : null)
})

test("an import that was stopped goes on", async () => {
  const index = newIndex()
  const controller = new AbortController()
  const rows = Array.from({ length: 600 }, (_, i) => ({
    path: at("away", `${i}.jpg`),
    vector: scaled(paths[i % 20]!, 1),
  }))
  const here = paths.map((path) => ({ path, vector: scaled(path, 1) }))
  const source = lines("many.jsonl", [...here, ...rows])
  const startProgress = (label: string) => ({
    update: (done: number) => label === "importing" && done > 500 && controller.abort(),
    done: () => {},
  })
  const stopped = run(index, source, { sameModel: true, root: folder, startProgress, signal: controller.signal })
  await expect(stopped).rejects.toThrow("aborted")
  expect((await contentOf(index)).size).toBe(501)
  expect(await run(index, source, { sameModel: true, root: folder })).toMatchObject({ known: 501, added: 119 })
  expect((await contentOf(index)).size).toBe(620)
})

test("what is refused leaves nothing", async () => {
  const index = newIndex()
  const damaged = at("damaged.jsonl")
  writeFileSync(damaged, `${JSON.stringify({ path: paths[0], vector: scaled(paths[0]!, 1) })}\n{"path"`)
  await expect(run(index, damaged)).rejects.toThrow("damaged.jsonl, line 2 is not a JSON object")
  await expect(importIndex(index, at("apply"))).rejects.toThrow("the index is new, and no model was named")
  expect(existsSync(index)).toBe(false)
  await exportModel(tinyModel(), { ...tinyInfo, preprocessing: { ...tinyInfo.preprocessing, size: 64 } }, at("other"))
  await run(index, at("apply"))
  await expect(run(index, at("apply"), { model: at("other") })).rejects.toThrow(
    "the index is of tiny, and other is another model",
  )
})

test("an exported folder is imported with its vectors; a model of another name and the same files is the same", async () => {
  const [first, second] = [newIndex(), newIndex()]
  await run(first, at("apply"))
  await exportIndex(first, { to: at("exported"), partSize: 8 })
  expect(readdirSync(at("exported", "img_emb"))).toHaveLength(3)
  renameSync(model(), at("renamed"))
  const result = await run(second, at("exported"), { model: at("renamed") })
  renameSync(at("renamed"), model())
  expect(result).toMatchObject({ encoded: 0, added: 20, vectors: { reused: true } })
  expectVectors(await contentOf(second), vectors)
})

test("an export that has ended holds no state of the index: a writer empties its log", async () => {
  const index = newIndex()
  await run(index, at("apply"))
  await contentOf(index)
  using writer = await IndexWriter.open(index, "test")
  writer.setMeta("a test", "writes")
  expect(writer.store.row("PRAGMA wal_checkpoint(TRUNCATE)")).toMatchObject({ busy: 0 })
})

test("bytes whose vector was lost are not known: a source's vector is taken, or the picture is encoded", async () => {
  for (const from of [at("apply"), at("ignore")]) {
    const index = newIndex()
    await run(index, at("apply"))
    const writer = await IndexWriter.open(index, "test")
    writer.setVectors(writer.active!, 0, new Float32Array(2 * width).fill(Number.NaN))
    for (const { id } of writer.store.rows("SELECT id FROM files WHERE content = 1")) writer.removeFile(Number(id))
    writer[Symbol.dispose]()
    expect((await contentOf(index)).size).toBe(18)
    expect(await run(index, from)).toMatchObject({ added: 1, encoded: from === at("apply") ? 0 : 1, known: 19 })
    expect((await contentOf(index)).size).toBe(19)
  }
})

test("what is imported has what is said beside it, captions to compare scores with, and a sharpness where it was encoded", async () => {
  const [taken, encoded] = [newIndex(), newIndex()]
  await run(taken, at("apply"))
  await run(encoded, at("ignore"))
  for (const index of [taken, encoded]) {
    using store = IndexStore.open(index)
    const count = (sql: string) => Number(store.row(`SELECT count(*) AS count FROM ${sql}`)!.count)
    expect(store.rows("SELECT caption FROM contents WHERE caption IS NOT NULL")).toEqual([{ caption: "three" }])
    expect(count("background WHERE kind = 'prompt'")).toBe(backgroundPrompts.length)
    expect(count("background WHERE kind = 'picture'")).toBe(20)
    expect(count("contents WHERE sharpness > 0")).toBe(index === taken ? 0 : 20)
  }
})

test("where vectors are searched in a table, it follows the import", async () => {
  const index = newIndex()
  const writer = await IndexWriter.open(index, "test")
  const encoder = await openEncoder(model(), { threads: 1 }, async () => null)
  const { name, identity, embedDim: dim } = encoder
  const settings = { orientation: "apply", decode: "exact", store: { lancedb: "lancedb" } } as const
  const generation = writer.addGeneration({ model: name, source: model(), identity, dim, settings })
  await encoder[Symbol.asyncDispose]()
  writer[Symbol.dispose]()
  expect(await run(index, at("apply"))).toMatchObject({ added: 20 })
  const scanner = await openTableScanner("lancedb", index, generation)
  const hits = await scanner.scan({ query: vectors.get(paths[4]!)!, count: 20, k: 1 })
  expect(hits.scores[0]).toBeGreaterThan(0.999)
  scanner.close()
})
