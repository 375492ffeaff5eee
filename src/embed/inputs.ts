/** What is embedded: files of pictures, shards of samples, or texts. */
import { resolve } from "node:path"
import { kindOf, requireTexts } from "../core/arguments.ts"
import { l2Normalize } from "../core/arrays/similarity.ts"
import { EnvironmentError, oneLine, UserError } from "../core/errors.ts"
import { decodeText } from "../core/text/decode-text.ts"
import { readSamples } from "../data/reinforced/read.ts"
import type { ReinforcedSample } from "../data/reinforced/sample.ts"
import { readBytes, requireSmall } from "../host/files/files.ts"
import { type EncodeFilesOptions, encodeFiles } from "../pictures/encode-files.ts"
import type { EmbedEncoder } from "./open-encoder.ts"

const inputKinds = ["pictures", "shards", "texts"] as const

export interface Inputs {
  readonly kind: (typeof inputKinds)[number]
  /** Paths of pictures, paths of shards, or texts. */
  readonly items: readonly string[]
}

/** Throws UserError where `value` is something else. */
export function requireInputs(value: unknown): asserts value is Inputs {
  const { kind, items } = Object(value) as Partial<Inputs>
  const hint = `inputs are { kind, items }; fileInputs("pictures", await namedPictures({ paths: ["photos"] })) makes them`
  if (!inputKinds.includes(kind!)) {
    throw new UserError(`the kind of inputs must be one of ${inputKinds.join(", ")}, not ${kindOf(kind)}`, hint)
  }
  requireTexts(items, `inputs of kind ${kind}`, hint)
}

/** What is known of a row, by the names of its columns; null where nothing is. */
export interface RowFacts {
  /** Path of a picture; key of a sample in a shard. */
  readonly image_path?: string
  readonly caption: string | null
  /** Where a sample of a shard is from. */
  readonly url?: string | null
}

export type Embedded = { readonly item: string } & (
  | {
      readonly facts: RowFacts
      /** Unit vectors [embedDim], one for each encoder. */
      readonly vectors: readonly Float32Array[]
    }
  | { readonly error: UserError }
)

/** Absolute paths, each once: what is written down does not depend on the working folder. */
export function fileInputs(kind: "pictures" | "shards", paths: readonly string[]): Inputs {
  requireTexts(paths, "paths", `write fileInputs("pictures", ["cat.jpg"])`)
  return { kind, items: [...new Set(paths.map((path) => resolve(path)))] }
}

type EmbeddingOptions = EncodeFilesOptions & { readonly batchSize: number }

/** In their order, a batch at a time. What a row is depends on the items that are given here, and on no others. */
export async function* embedded(
  { kind, items }: Inputs,
  encoders: readonly EmbedEncoder[],
  options: EmbeddingOptions,
): AsyncGenerator<Embedded[]> {
  const embedAll = { pictures, shards, texts }[kind]
  for await (const batch of embedAll(items, encoders, options)) {
    for (const { item, ...row } of batch) {
      if (!("vectors" in row)) continue
      for (const [i, vector] of row.vectors.entries()) toUnit(vector, encoders[i]!, item)
    }
    yield batch
  }
}

/** In place. Throws UserError where a model does not give numbers: no later row would be better. */
function toUnit(vector: Float32Array, { name, computed }: EmbedEncoder, item: string): void {
  if (vector.every(Number.isFinite)) l2Normalize(vector, vector.length)
  else {
    throw new UserError(
      `${name} gives values that are not numbers for ${oneLine(item)}`,
      `it computes in ${computed.dtype}: try --dtype fp32`,
    )
  }
}

async function* pictures(
  paths: readonly string[],
  encoders: readonly EmbedEncoder[],
  options: EncodeFilesOptions,
): AsyncGenerator<Embedded[]> {
  for await (const batch of encodeFiles(paths, encoders, options)) {
    const rows = batch.map(async (file): Promise<Embedded> => {
      const item = file.source
      if ("error" in file) return { item, error: ofInput(file.error) }
      const caption = await captionBeside(item)
      if (caption instanceof UserError) return { item, error: ofInput(caption) }
      return { item, facts: { image_path: item, caption }, vectors: file.vectors }
    })
    yield await Promise.all(rows)
  }
}

/** Samples of WebDataset's tar or of JSONL, one shard after the other. */
async function* shards(
  paths: readonly string[],
  encoders: readonly EmbedEncoder[],
  options: EncodeFilesOptions,
): AsyncGenerator<Embedded[]> {
  for (const path of paths) {
    const leftOut: Embedded[] = []
    for await (const batch of encodeFiles(picturesIn(path, leftOut), encoders, options)) {
      const rows = batch.map(({ source: { name, sample }, ...row }): Embedded => {
        if ("error" in row) return { item: name, error: ofInput(row.error) }
        const { key, texts, url } = sample
        return { item: name, facts: { image_path: key, caption: texts[0] ?? null, url }, vectors: row.vectors }
      })
      yield [...leftOut.splice(0), ...rows]
    }
    if (leftOut.length > 0) yield leftOut
  }
}

interface SamplePicture {
  readonly name: string
  readonly bytes: Uint8Array
  readonly sample: Pick<ReinforcedSample, "key" | "texts" | "url">
}

/** What is wrong with the others, or with the shard, is added to `leftOut`. */
async function* picturesIn(path: string, leftOut: Embedded[]): AsyncGenerator<SamplePicture> {
  const leaveOut = (item: string, error: UserError) => leftOut.push({ item, error: ofInput(error) })
  const named = (key: string | null) => (key === null ? path : `${path}/${key}`)
  try {
    const samples = readSamples(path, ({ key, reason, action }) => {
      if (action === "dropped") leaveOut(named(key), new UserError(`${named(key)}: ${reason}`))
    })
    for await (const { key, image, texts, url } of samples) {
      const name = named(key)
      if (image) yield { name, bytes: image.bytes, sample: { key, texts, url } }
      else leaveOut(name, new UserError(`${name} has no picture`))
    }
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    leaveOut(path, error)
  }
}

async function* texts(
  lines: readonly string[],
  encoders: readonly EmbedEncoder[],
  { batchSize, signal }: EmbeddingOptions,
): AsyncGenerator<Embedded[]> {
  for (let from = 0; from < lines.length; from += batchSize) {
    signal?.throwIfAborted()
    const batch = lines.slice(from, from + batchSize)
    const all: Float32Array[] = []
    for (const encoder of encoders) all.push(await encoder.encodeTexts(batch))
    yield batch.map((item, i) => ({
      item,
      facts: { caption: item },
      vectors: encoders.map(({ embedDim }, e) => all[e]!.slice(i * embedDim, (i + 1) * embedDim)),
    }))
  }
}

const largestCaption = 2 ** 20

/** The text of a file beside a picture, of the same name with .txt; null where there is none. */
async function captionBeside(path: string): Promise<string | null | UserError> {
  const beside = path.replace(/\.[^./\\]+$/, ".txt")
  try {
    return decodeText(await readBytes(beside, requireSmall(beside, largestCaption)), beside).trim()
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    return codeOf(error) === "ENOENT" ? null : error
  }
}

/** A machine that fails is not its input's fault, but a file that may not be read is one among others. */
function ofInput(error: UserError): UserError {
  if (error instanceof EnvironmentError && !["EACCES", "EPERM"].includes(codeOf(error))) throw error
  return error
}

function codeOf({ cause }: UserError): string {
  return (cause as NodeJS.ErrnoException | undefined)?.code ?? ""
}
