/**
 * datacompdr/expected.json: shards of the published layouts, read, their stored views made again, and written again in
 * every layout of ours.
 */
import { createHash } from "node:crypto"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { isDeepStrictEqual } from "node:util"
import type { Image8 } from "../../src/core/image/pixels.ts"
import { applyAugmentation } from "../../src/data/augment/apply.ts"
import { encodeSamples, type SampleFormat } from "../../src/data/reinforced/encode.ts"
import { readSamples } from "../../src/data/reinforced/read.ts"
import type { Embeddings, Problem, ReinforcedSample } from "../../src/data/reinforced/sample.ts"
import { formatInfo, formatManifest, parseInfo, parseManifest } from "../../src/data/reinforced/tar/side-files.ts"
import { arrangeTextEmbeddings } from "../../src/data/reinforced/text-embeddings.ts"
import { decodeImage } from "../../src/host/image/images.ts"
import { type Check, exact } from "./check.ts"

interface Expected {
  shards: Record<string, { bf16: boolean; samples: TarSample[] }>
  /** Absent in a subset that has tar files only. */
  jsonl?: { file: string; info: object; samples: JsonlSample[] }
}

interface ExpectedEmbeddings {
  dtype?: string
  shape: [number, number]
  values: number[][]
}

interface TarSample {
  key: string
  /** Names of the files in the shard; `txt` and `jpg` below are of the joined set, also where a shard has none. */
  members: [name: string, bytes: number][]
  "url.txt": string
  txt: string
  json: Record<string, unknown>
  "syn.json": Record<string, string[]>
  "paug.json": { param_aug: unknown[] }
  jpg: { sha256: string; sha256_decoded_rgb: string }
  emb: Record<string, ExpectedEmbeddings>
  augmented_64_sha256: string[]
}

type JsonlSample = Record<string, unknown> & {
  uid: string
  url: string
  text: string
  syn_text: string[]
  param_aug: unknown[]
  emb: Record<string, ExpectedEmbeddings>
}

/** Compact components are off by half a step of 1/900 at most. */
const halfStep = 1 / 1800

export async function* checkDataCompDR(path: string): AsyncIterable<Check> {
  const folder = dirname(path)
  const expected: Expected = JSON.parse(await readFile(path, "utf8"))
  for (const [name, { samples }] of Object.entries(expected.shards)) {
    const found = await readAll(join(folder, name))
    yield exact(`${name}, keys in order`, isDeepStrictEqual(keysOf(found), samples.map(({ key }) => key))) // biome-ignore format: a line
    for (const [i, sample] of samples.entries()) yield* checkTarSample(`${name}, ${i}`, found[i]!, sample)
    yield* checkRewritten(name, found)
  }
  yield* checkManifest(folder)
  if (!expected.jsonl) return
  const { file, samples, info } = expected.jsonl
  const found = await readAll(join(folder, file))
  yield exact(`${file}, keys in order`, isDeepStrictEqual(keysOf(found), samples.map(({ uid }) => uid))) // biome-ignore format: a line
  for (const [i, sample] of samples.entries()) yield* checkJsonlSample(`${file}, ${i}`, found[i]!, sample)
  yield* checkRewritten(file, found)
  yield* checkInfo(folder, info)
}

async function* checkTarSample(what: string, found: ReinforcedSample, expected: TarSample): AsyncIterable<Check> {
  const { url, texts, fields, synTexts, paramAug, image, others } = found
  yield exact(`${what}, url`, url === expected["url.txt"])
  yield exact(`${what}, caption`, isDeepStrictEqual(texts, has(expected, "txt") ? [expected.txt] : []))
  yield exact(`${what}, json`, isDeepStrictEqual(fields, expected.json))
  yield exact(`${what}, synthetic captions`, isDeepStrictEqual(Object.fromEntries(synTexts), expected["syn.json"]))
  yield exact(`${what}, views`, isDeepStrictEqual(paramAug, expected["paug.json"].param_aug))
  yield exact(`${what}, other members`, others.size === 0)
  yield exact(`${what}, picture`, image ? sha256(image.bytes) === expected.jpg.sha256 : !has(expected, "jpg"))
  if (image) yield* checkPixels(what, await decodeImage(image.bytes), found, expected)
  yield* checkEmbeddings(what, found.embeddings, expected.emb)
}

function has({ key, members }: TarSample, extension: string): boolean {
  return members.some(([name]) => name === `${key}.${extension}`)
}

/** The picture, and its stored views made again at 64 pixels. */
function* checkPixels(what: string, image: Image8, { paramAug }: ReinforcedSample, expected: TarSample) {
  yield exact(`${what}, pixels`, sha256(image.data) === expected.jpg.sha256_decoded_rgb)
  for (const [i, view] of paramAug!.entries()) {
    const again = applyAugmentation(image, view, 64, "bicubic")
    yield exact(`${what}, view ${i} at 64 pixels`, sha256(again.data) === expected.augmented_64_sha256[i])
  }
}

async function* checkJsonlSample(
  what: string,
  found: ReinforcedSample,
  { uid, url, text, syn_text, param_aug, emb, ...rest }: JsonlSample,
): AsyncIterable<Check> {
  const { fields, image } = found
  const said = { url: found.url, texts: found.texts, syn: found.synTexts.get("syn_text"), views: found.paramAug }
  yield exact(
    `${what}, texts and views`,
    isDeepStrictEqual(said, { url, texts: [text], syn: syn_text, views: param_aug }),
  )
  const names = ["sha256", "width", "height"]
  yield exact(`${what}, fields`, isDeepStrictEqual(fields, Object.fromEntries(names.map((name) => [name, rest[name]]))))
  yield exact(`${what}, picture, checksum`, image !== null && sha256(image.bytes) === rest.sha256)
  const decoded = await decodeImage(image!.bytes)
  yield exact(`${what}, picture, size`, decoded.width === rest.width && decoded.height === rest.height)
  yield* checkEmbeddings(what, found.embeddings, emb)
}

/** The JSON has 9 digits, enough for the exact float32. */
function* checkEmbeddings(
  what: string,
  found: ReadonlyMap<string, Embeddings>,
  expected: Record<string, ExpectedEmbeddings>,
): Iterable<Check> {
  yield exact(`${what}, names of embeddings`, isDeepStrictEqual([...found.keys()], Object.keys(expected)))
  for (const [name, { dtype = "float32", shape, values }] of Object.entries(expected)) {
    const array = found.get(name)!
    yield exact(`${what}, ${name}, shape`, isDeepStrictEqual([array.rows, array.width, array.dtype], [...shape, dtype]))
    const wanted = Float32Array.from(values.flat())
    yield exact(`${what}, ${name}, values`, isDeepStrictEqual(array.values, wanted))
  }
}

// --------------------------------------------------------------------------------------------- written and read again

async function* checkRewritten(name: string, samples: readonly ReinforcedSample[]): AsyncIterable<Check> {
  for (const output of ["webdataset", "jsonl"] as const) {
    for (const embeddings of ["npz", "pth.gz", "compact"] as const) {
      if (output === "jsonl" && embeddings === "compact") continue
      for (const textEmbeddings of ["joined", "separate"] as const) {
        for (const images of [true, false]) yield await rewritten(name, samples, { output, embeddings, textEmbeddings, images }) // biome-ignore format: a line
      }
    }
  }
}

async function rewritten(name: string, samples: readonly ReinforcedSample[], format: SampleFormat): Promise<Check> {
  const chunks: Uint8Array[] = []
  for await (const chunk of encodeSamples(samples, format)) chunks.push(chunk)
  const folder = await mkdtemp(join(tmpdir(), "datacompdr-"))
  try {
    const path = join(folder, "shard")
    await writeFile(path, chunks)
    const again = await readAll(path)
    const wanted = samples.map((sample) => expectedAgain(sample, format))
    const errors = again.map((sample, i) => difference(sample, wanted[i]!))
    const error = again.length === samples.length ? Math.max(...errors) : Number.POSITIVE_INFINITY
    return { what: `${name}, written as ${Object.values(format).join(" ")}`, error, tolerance: toleranceOf(format) }
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** bfloat16 keeps 8 bits of a component below 1. */
function toleranceOf({ embeddings }: SampleFormat): number {
  return { npz: 0, "pth.gz": 2 ** -9, compact: halfStep + 2 ** -24 }[embeddings]
}

function expectedAgain(sample: ReinforcedSample, { output, textEmbeddings, images }: SampleFormat): ReinforcedSample {
  const { uid, ...rest } = sample.fields
  // The uid is the key of a JSONL line.
  const fields = output === "jsonl" && uid === sample.key ? rest : sample.fields
  const embeddings = arrangeTextEmbeddings(sample, textEmbeddings)
  return { ...sample, fields, embeddings, image: images ? sample.image : null }
}

/** The largest difference of two embeddings; infinite where anything else differs. */
function difference(found: ReinforcedSample, wanted: ReinforcedSample): number {
  const isEqual = isDeepStrictEqual(plain(found), plain(wanted))
  const pairs = [...wanted.embeddings].map(
    ([name, array]) => [found.embeddings.get(name)!.values, array.values] as const,
  )
  if (!isEqual || pairs.some(([a, b]) => a.length !== b.length)) return Number.POSITIVE_INFINITY
  return Math.max(...pairs.map(([a, b]) => a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0)))
}

/** Everything but the values of embeddings. */
function plain({ image, embeddings, ...rest }: ReinforcedSample): unknown {
  const picture = image && { extension: image.extension, sha256: sha256(image.bytes) }
  const shapes = Object.fromEntries([...embeddings].map(([name, { rows, width }]) => [name, [rows, width]]))
  return { ...rest, picture, shapes }
}

// ------------------------------------------------------------------------------------------------------- side files

/** The list of JSONL files. */
async function* checkInfo(folder: string, info: object): AsyncIterable<Check> {
  const listed = parseInfo(await readFile(join(folder, "info.json"), "utf8"), "info.json")
  yield exact("info.json, counts", isDeepStrictEqual([...listed.lengths], [["datacompdr/00000000.jsonl", 6]]))
  yield exact("info.json, written again", isDeepStrictEqual(JSON.parse(formatInfo(listed)), info))
}

/** The list of tar files. */
async function* checkManifest(folder: string): AsyncIterable<Check> {
  const entries = parseManifest(await readFile(join(folder, "manifest.jsonl"), "utf8"), "manifest.jsonl")
  const wanted = ["00000000", "00000001"].map((shard) => ({ shard, samples: 6 }))
  yield exact("manifest.jsonl, counts", isDeepStrictEqual(entries, wanted))
  yield exact("manifest.jsonl, written again", isDeepStrictEqual(parseManifest(formatManifest(entries), ""), wanted))
}

/** Throws where anything is wrong with the shard. */
async function readAll(path: string): Promise<ReinforcedSample[]> {
  const samples: ReinforcedSample[] = []
  const problems: Problem[] = []
  for await (const sample of readSamples(path, (problem) => problems.push(problem))) samples.push(sample)
  if (problems.length > 0) throw new Error(`${path}: ${problems[0]!.reason}`)
  return samples
}

function keysOf(samples: readonly ReinforcedSample[]): string[] {
  return samples.map(({ key }) => key)
}

function sha256(bytes: Uint8Array | Uint8ClampedArray): string {
  return createHash("sha256").update(bytes).digest("hex")
}
