/** Vectors in files, against what the model gives picture by picture; going on, refusing, and what is left out. */
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { asyncBufferFromFile, parquetReadObjects } from "hyparquet"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { contentsOf } from "../../test/folder-contents.ts"
import { tinyInfo, tinyModel, writeCheckpoint } from "../../test/tiny-model.ts"
import { float16ToFloat32 } from "../core/arrays/half.ts"
import { l2Normalize } from "../core/arrays/similarity.ts"
import type { UserError } from "../core/errors.ts"
import { renderScene } from "../data/scenes/render.ts"
import { sampleScene } from "../data/scenes/scene.ts"
import { writeShard } from "../data/shards.ts"
import { exportModel } from "../export/export.ts"
import { readNpy } from "../host/containers/npz.ts"
import { decodeImage } from "../host/image/images.ts"
import { lockFolder } from "../host/locks/lock.ts"
import { loadModel } from "../run/node.ts"
import { classifyFiles, type FileClassifier } from "./classify-files.ts"
import { type EmbedOptions, embed } from "./embed.ts"
import { fileInputs } from "./inputs.ts"

let folder: string
const at = (...names: string[]) => join(folder, ...names)
const width = tinyInfo.config.embedDim
/** Its pictures' paths, in order; number 3 is not a picture, and number 1 has a caption. */
let paths: string[]
let out: string
let runs = 0

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "embed-"))
  for (const name of ["pictures", "a", "b"]) mkdirSync(at(name))
  await exportModel(tinyModel(), tinyInfo, at("a", "tiny"))
  await exportModel(tinyModel(), { ...tinyInfo, preprocessing: { ...tinyInfo.preprocessing, size: 64, interpolation: "bicubic" } }, at("b", "smooth")) // biome-ignore format: a row
  paths = Array.from({ length: 11 }, (_, i) => at("pictures", `${String(i).padStart(2, "0")}.jpg`))
  for (const [i, path] of paths.entries())
    writeFileSync(path, i === 3 ? "nothing" : await renderScene(sampleScene(7, "train", i)))
  writeFileSync(at("pictures", "01.txt"), "a caption\n")
})
beforeEach(() => {
  out = at(`out-${runs++}`)
})
afterAll(() => rmSync(folder, { recursive: true }))

const tiny = () => at("a", "tiny")

function run(given: Partial<EmbedOptions> = {}) {
  return embed({
    ...{ models: [tiny()], inputs: fileInputs("pictures", paths), out, partSize: 4, batchSize: 3, threads: 1 },
    ...given,
  })
}

async function failure(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => null,
    (error: UserError) => error,
  )
  return `${error?.message} | ${error?.hint}`.replaceAll(folder, "DIR")
}

const good = () => paths.filter((_, i) => i !== 3)

/** What the model gives for each picture alone, of unit length. */
async function alone(model = tiny()): Promise<Float32Array[]> {
  await using opened = await loadModel(model, { threads: 1 })
  const vectors: Float32Array[] = []
  for (const path of good()) vectors.push(l2Normalize(await opened.encodeImages([await decodeImage(path)]), width))
  return vectors
}

const metadata = async (path: string) => parquetReadObjects({ file: await asyncBufferFromFile(path) })

/** Rows of all parts. */
async function rowsIn(of: string): Promise<number[][]> {
  const rows: number[][] = []
  for (const name of readdirSync(join(of, "img_emb")).sort()) {
    const { dtype, values, shape } = await readNpy(join(of, "img_emb", name))
    const plain = dtype === "F16" ? float16ToFloat32(values as Uint16Array) : (values as Float32Array)
    for (let row = 0; row < shape[0]!; row++) rows.push([...plain.subarray(row * width, (row + 1) * width)])
  }
  return rows
}

function expectClose(found: readonly ArrayLike<number>[], expected: readonly ArrayLike<number>[], tolerance: number) {
  expect(found.length).toBe(expected.length)
  for (const [i, row] of found.entries()) {
    expect(row.length).toBe(width)
    for (let k = 0; k < width; k++) expect(Math.abs(row[k]! - expected[i]![k]!)).toBeLessThanOrEqual(tolerance)
  }
}

/** ONNX Runtime may choose other kernels for a batch than for one picture: some last digits of a unit vector's values. */
const batched = 1e-5
/** Half of float16's step below 1. */
const half = 2 ** -12

test("clip-retrieval's layout: matrices and tables of the same rows, what is left out, and what made it", async () => {
  const failures: string[] = []
  const [result] = await run({ onFailure: ({ message }) => failures.push(message) })
  expect(result).toEqual({
    ...{ model: "tiny", folder: out, rows: 10, embedDim: width },
    failures: [{ input: paths[3], reason: `${paths[3]} is not a picture` }],
  })
  expect(failures).toEqual([`${paths[3]} is not a picture`])
  expect([...contentsOf(out).keys()].filter((name) => !name.endsWith("/")).sort()).toEqual(
    [
      ...["_done/0.json", "_done/1.json", "_done/2.json", "embed.json", "failures.jsonl"],
      ...["img_emb/img_emb_0.npy", "img_emb/img_emb_1.npy", "img_emb/img_emb_2.npy"],
      ...["metadata/metadata_0.parquet", "metadata/metadata_1.parquet", "metadata/metadata_2.parquet"],
    ].sort(),
  )
  expectClose(await rowsIn(out), await alone(), batched)
  expect(await metadata(join(out, "metadata/metadata_0.parquet"))).toEqual([
    { image_path: paths[0], caption: null },
    { image_path: paths[1], caption: "a caption" },
    { image_path: paths[2], caption: null },
  ])
  expect(JSON.parse(readFileSync(join(out, "embed.json"), "utf8"))).toMatchObject({
    ...{ format: "mobileclip-embed-1", model: "tiny", embedDim: width, normalised: true, store: "float32" },
    identity: expect.stringMatching(/^tiny onnx\/vision_model\.onnx=sha256:[0-9a-f]{64} .* 64px bilinear/),
    computed: { runtime: "onnxruntime", device: "cpu", dtype: "fp32", chosenBy: "default" },
    reading: { orientation: "ignore", decode: "exact", maxPixels: 100_000_000 },
    inputs: { kind: "pictures", count: 11 },
  })
})

test("float16, and JSONL with every digit of a float32", async () => {
  await run({ store: "float16" })
  expect((await readNpy(join(out, "img_emb/img_emb_0.npy"))).dtype).toBe("F16")
  expectClose(await rowsIn(out), await alone(), half + batched)
  const [npy, jsonl] = [at("as-npy"), at("as-jsonl")]
  await run({ out: npy })
  await run({ out: jsonl, output: "jsonl" })
  const lines = [0, 1, 2].flatMap((part) =>
    readFileSync(join(jsonl, `img_emb/img_emb_${part}.jsonl`), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line)),
  )
  expect(lines.map(({ image_path }) => image_path)).toEqual(good())
  expect(lines[1].caption).toBe("a caption")
  expect(lines.map(({ embedding }) => [...Float32Array.from(embedding)])).toEqual(await rowsIn(npy))
})

test("several models in one pass: each folder has the bytes that the model alone would have", async () => {
  const models = [tiny(), at("b", "smooth")]
  const results = await run({ models })
  expect(results.map(({ model, folder, rows }) => [model, folder, rows])).toEqual([
    ["tiny", join(out, "tiny"), 10],
    ["smooth", join(out, "smooth"), 10],
  ])
  for (const [i, name] of ["tiny", "smooth"].entries()) {
    await run({ models: [models[i]!], out: at(`only-${name}`) })
    expect(contentsOf(join(out, name))).toEqual(contentsOf(at(`only-${name}`)))
  }
  expectClose(await rowsIn(join(out, "smooth")), await alone(models[1]), batched)
  expect(await rowsIn(join(out, "smooth"))).not.toEqual(await rowsIn(join(out, "tiny")))
})

test("texts: a row for each line, blank ones too", async () => {
  const items = ["a cat", "", "two dogs on a road", "a cat"]
  await run({ inputs: { kind: "texts", items }, partSize: 3 })
  expect(await metadata(join(out, "metadata/metadata_0.parquet"))).toEqual(
    items.slice(0, 3).map((caption) => ({ caption })),
  )
  await using model = await loadModel(tiny(), { threads: 1 })
  const expected = l2Normalize(await model.encodeTexts(items), width)
  const [first, second] = [
    await readNpy(join(out, "text_emb/text_emb_0.npy")),
    await readNpy(join(out, "text_emb/text_emb_1.npy")),
  ]
  expect([first.shape, second.shape]).toEqual([[3, width], [1, width]]) // biome-ignore format: a row
  const found = [...(first.values as Float32Array), ...(second.values as Float32Array)]
  for (const [i, value] of found.entries()) expect(Math.abs(value - expected[i]!)).toBeLessThanOrEqual(batched)
})

test("shards: a part for each, rows by their keys; a damaged one is a reason, and the others go on", async () => {
  const sample = (key: string, path: string, more: readonly [string, string][] = []) => ({
    key,
    members: new Map<string, Uint8Array>([["jpg", readFileSync(path)], ...more.map(([name, text]) => [name, Buffer.from(text)] as const)]), // biome-ignore format: a row
  })
  await writeShard(at("0.tar"), [
    sample("a", paths[0]!, [["txt", "first"], ["json", '{"url":"http://somewhere/a"}']]), // biome-ignore format: a row
    sample("b", paths[3]!),
    sample("c", paths[1]!),
  ])
  writeFileSync(at("1.tar"), "no shard")
  await writeShard(at("2.tar"), [
    sample("d", paths[2]!),
    { key: "e", members: new Map([["txt", Buffer.from("alone")]]) },
  ])
  const [result] = await run({
    inputs: fileInputs(
      "shards",
      ["0.tar", "1.tar", "2.tar"].map((name) => at(name)),
    ),
  })
  expect(result!.rows).toBe(3)
  expect(result!.failures.map(({ reason }) => reason.replace(folder, "DIR"))).toEqual([
    "DIR/0.tar/b is not a picture",
    expect.stringMatching(/^DIR\/1\.tar /),
    "DIR/2.tar/e has no picture",
  ])
  expectClose(await rowsIn(out), (await alone()).slice(0, 3), batched)
  const { reading, partSize, inputs } = JSON.parse(readFileSync(join(out, "embed.json"), "utf8"))
  expect([reading, partSize, inputs.kind, inputs.count]).toEqual([
    ...[{ orientation: "ignore", decode: "exact", maxPixels: 100_000_000 }, 1, "shards", 3],
  ])
  expect(readdirSync(join(out, "metadata"))).toEqual(["metadata_0.parquet", "metadata_2.parquet"])
  expect(await metadata(join(out, "metadata/metadata_0.parquet"))).toEqual([
    { image_path: "a", caption: "first", url: "http://somewhere/a" },
    { image_path: "c", caption: null, url: null },
  ])
})

test("a run that was stopped goes on to the bytes of an undisturbed one; what is done is not made again", async () => {
  const whole = at("whole")
  await run({ out: whole })
  const stop = new AbortController()
  const startProgress = () => ({
    update: (done: number) => {
      if (done > 6) stop.abort()
    },
    done: () => {},
  })
  await expect(run({ signal: stop.signal, startProgress })).rejects.toThrow("aborted")
  expect(readdirSync(join(out, "_done"))).toEqual(["0.json"])
  expect(readdirSync(join(out, "img_emb"))).toEqual(["img_emb_0.npy"])
  const seen: number[] = []
  await run({ startProgress: (_, total, { from }) => ({ update: (done) => seen.push(done), done: () => seen.push(total, from!) }) }) // biome-ignore format: a row
  expect(seen).toEqual([7, 8, 11, 11, 4])
  expect(contentsOf(out)).toEqual(contentsOf(whole))
})

test("--retry-failures makes the parts again that lack an input", async () => {
  const aside = at("mended")
  mkdirSync(aside)
  const own = Array.from({ length: 6 }, (_, i) => join(aside, `${i}.jpg`))
  for (const [i, path] of own.entries()) copyFileSync(paths[i]!, path)
  const inputs = fileInputs("pictures", own)
  expect((await run({ inputs }))[0]).toMatchObject({ rows: 5, failures: [{ input: own[3] }] })
  copyFileSync(paths[5]!, own[3]!)
  expect((await run({ inputs }))[0]).toMatchObject({ rows: 5, failures: [{ input: own[3] }] })
  expect((await run({ inputs, retryFailures: true }))[0]).toMatchObject({ rows: 6, failures: [] })
  expect(contentsOf(out).has("failures.jsonl")).toBe(false)
  await run({ inputs, out: at("afresh") })
  expect(contentsOf(out)).toEqual(contentsOf(at("afresh")))
})

test("a part without any row has no files", async () => {
  const inputs = fileInputs("pictures", [paths[3]!, paths[3]!, at("gone.jpg")])
  const [result] = await run({ inputs })
  expect(result!.failures.map(({ reason }) => reason.replace(folder, "DIR"))).toEqual([
    "DIR/pictures/03.jpg is not a picture",
    "DIR/gone.jpg does not exist",
  ])
  expect([...contentsOf(out).keys()].filter((name) => /\.(npy|parquet)$/.test(name))).toEqual([])
})

test("a caption that is not text is a reason", async () => {
  writeFileSync(at("pictures", "05.txt"), Buffer.from("caf\xe9", "latin1"))
  const [result] = await run()
  rmSync(at("pictures", "05.txt"))
  expect(result!.failures.map(({ reason }) => reason.replace(folder, "DIR"))).toEqual([
    "DIR/pictures/03.jpg is not a picture",
    "DIR/pictures/05.txt, line 1 is not UTF-8",
  ])
})

test("folders of other settings, models, lists or content, of a newer format, and in use, are refused in a line", async () => {
  await run()
  const before = contentsOf(out)
  const other = at("b", "smooth")
  const refusals: [Partial<EmbedOptions>, RegExp][] = [
    [
      { store: "float16" },
      /DIR\/out-\d+ holds vectors of other settings: store was "float32" and is "float16" \| give the same/,
    ],
    [{ models: [other] }, /other settings: model was "tiny" and is "smooth"; preprocessing was .*"bilinear"/],
    [
      { inputs: fileInputs("pictures", paths.slice(1)) },
      /the list of pictures is another one \(11 pictures, now 10 pictures\)/,
    ],
    [
      { inputs: { kind: "texts", items: ["a"] } },
      /reading was .* and is null; .*the list of texts is another one \(11 pictures, now 1 texts\)/,
    ],
    [{ orientation: "apply" }, /reading was .*"ignore".* and is .*"apply"/],
    [{ models: [tiny(), other] }, /holds the vectors of one model, and several were named/],
    [
      { out: at("pictures") },
      /DIR\/pictures has other content \(00\.jpg, .* more\), and no embed\.json \| choose an empty folder/,
    ],
    [{ out: at("pictures", "00.jpg", "x") }, /00\.jpg\/x is a file, or in one, where a folder was expected/],
    [{ models: [tiny(), tiny()], out: at("twins") }, /two of the models are called tiny, .* \| give them folders/],
    [{ models: [at("none")] }, /DIR\/none does not exist/],
    [{ models: [] }, /no model was named/],
    [{ models: tiny() as never }, /models must be a list of texts, not the text .* \| write models: /],
    [{ out: undefined as never }, /out must be the path of a folder, not undefined/],
    [{ output: "parquet" as never }, /output must be one of clip-retrieval, jsonl, not the text "parquet"/],
    [{ partSize: 0 }, /partSize must be a whole number from 1 on, not the number 0/],
    [{ dtype: "int8" as never }, /dtype must be one of fp32, fp16, bf16, auto, not the text "int8"/],
    [
      { inputs: paths as never },
      /kind of inputs must be one of pictures, shards, texts, not undefined \| .*fileInputs/,
    ],
    [
      { inputs: { kind: "texts", items: "a" as never } },
      /inputs of kind texts must be a list of texts, not the text "a"/,
    ],
    [{ inputs: fileInputs("pictures", []) }, /there are no pictures to embed/],
  ]
  for (const [given, message] of refusals) expect(await failure(run(given))).toMatch(message)
  expect(contentsOf(out)).toEqual(before)
  const settings = JSON.parse(readFileSync(join(out, "embed.json"), "utf8"))
  writeFileSync(join(out, "embed.json"), JSON.stringify({ ...settings, format: "mobileclip-embed-9" }))
  expect(await failure(run())).toMatch(
    /was written in format mobileclip-embed-9, and this version writes mobileclip-embed-1/,
  )
  writeFileSync(join(out, "embed.json"), "{")
  expect(await failure(run())).toMatch(/embed\.json should be the settings of a folder of vectors, but is not JSON/)
  writeFileSync(join(out, "embed.json"), JSON.stringify(settings))
  using _ = await lockFolder(out, "mobileclip embed")
  expect(await failure(run())).toMatch(/out-\d+ is in use: mobileclip embed \(process \d+\) works there/)
})

test("classifyFiles: what is no list, no model or no label vectors is one line", async () => {
  await using encoder = await loadModel(tiny(), { threads: 1 })
  const messageOf = (files: unknown, classifiers: unknown) =>
    failure(classifyFiles(files as string[], classifiers as FileClassifier[]).next())
  const labels = ["cat"] as never
  expect(await messageOf("a.jpg", [])).toMatch(/files must be a list, not the text "a\.jpg"/)
  expect(await messageOf(paths, { model: "tiny", encoder, labels })).toMatch(/must be a list of models with labels/)
  expect(await messageOf(paths, [{ model: "tiny", encoder: "tiny", labels }])).toMatch(/a model was expected, not the/)
  expect(await messageOf(paths, [{ model: "tiny", encoder, labels }])).toMatch(
    /label vectors were expected, not a list/,
  )
})

test("a folder without a finished part takes other settings", async () => {
  mkdirSync(out)
  writeFileSync(join(out, "embed.json"), JSON.stringify({ format: "mobileclip-embed-1", store: "float16" }))
  expect((await run())[0]).toMatchObject({ rows: 10 })
})

test("an image tower without a text tower embeds pictures, and says that it has no texts", async () => {
  await exportModel(tinyModel(), tinyInfo, at("a", "halved"))
  const manifest = JSON.parse(readFileSync(at("a", "halved", "mobileclip.json"), "utf8"))
  const { text: _, ...towers } = manifest.towers
  writeFileSync(at("a", "halved", "mobileclip.json"), JSON.stringify({ ...manifest, towers, contextLength: null, logitScale: null })) // biome-ignore format: a row
  renameSync(at("a", "halved", "onnx", "text_model.onnx"), at("a", "halved", "onnx", "aside"))
  expect((await run({ models: [at("a", "halved")] }))[0]).toMatchObject({ model: "halved", rows: 10 })
  expectClose(await rowsIn(out), await alone(), batched)
  const texts = { kind: "texts", items: ["a"] } as const
  expect(await failure(run({ models: [at("a", "halved")], inputs: texts, out: at("no-texts") }))).toBe(
    "tiny has no text tower | use it for images only",
  )
})

test("a checkpoint on libtorch gives what its ONNX towers give, in its own records", async () => {
  writeCheckpoint(at("tiny.safetensors"))
  await run({ models: [at("tiny.safetensors")], runtime: "libtorch" })
  // Fused float32 in another order of sums.
  expectClose(await rowsIn(out), await alone(), 1e-4)
  expect(JSON.parse(readFileSync(join(out, "embed.json"), "utf8")).computed).toEqual({
    ...{ runtime: "libtorch", device: "cpu", dtype: "fp32", chosenBy: "user", cosine: null, milliseconds: null },
  })
  expect(await failure(run({ models: [at("tiny.safetensors")], runtime: "onnxruntime", dtype: "bf16" }))).toMatch(
    /bf16/,
  )
})

test("a choice of `auto` is recorded, and stays for a folder that goes on", async () => {
  const lines: string[] = []
  const auto = { dtype: "auto", onStage: (line: string) => lines.push(line) } as const
  await run(auto)
  expect(lines).toEqual([expect.stringMatching(/^--dtype auto: fp32 on ONNX Runtime, because /)])
  const place = join(out, "embed.json")
  const settings = JSON.parse(readFileSync(place, "utf8"))
  const measured = { ...settings.computed, chosenBy: "measurement", cosine: 0.9995, milliseconds: 3 }
  writeFileSync(place, JSON.stringify({ ...settings, computed: measured }))
  rmSync(join(out, "_done", "1.json"))
  await run(auto)
  expect(lines.slice(1)).toEqual(["--dtype auto: fp32 on onnxruntime, as before"])
  expect(JSON.parse(readFileSync(place, "utf8")).computed).toEqual(measured)
})
