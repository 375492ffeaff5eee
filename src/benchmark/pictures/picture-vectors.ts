/** The vectors of a task's pictures for several models: from the cache where they are there, else from one pass over the data. */
import { UserError } from "../../core/errors.ts"
import { isObject, isSize, isSizes } from "../../core/json.ts"
import { isSampled } from "../../evaluate/suite/quick.ts"
import type { PicturePool } from "../../pictures/picture-pool.ts"
import type { CacheKey, CacheWriter, VectorCache } from "../../vector-cache/vector-cache.ts"
import type { VectorFile } from "../../vector-cache/vector-file.ts"
import type { BenchmarkDataset, BenchmarkSample } from "../layout/benchmark-dataset.ts"
import { cacheIdentity, type EvaluatedModel } from "../run/evaluated-model.ts"
import { encodePictures, type PictureRecord } from "./encode-pictures.ts"

/** Which samples are taken: all, `count` spread evenly over `size`, or the first ones where the size is not known. */
export interface Sampling {
  readonly count: number
  readonly size: number | null
}

interface PassOptions {
  readonly pool: PicturePool
  readonly batchSize: number
  readonly cache: VectorCache | null
  readonly sampling: Sampling | null
  /** Whether equal pictures are encoded once. */
  readonly distinct: boolean
  /** Is told how many pictures are encoded. */
  readonly onPictures?: (done: number) => void
  readonly signal?: AbortSignal | undefined
}

/** A model, and who takes its vectors, in the order of the pictures. */
export interface Taker {
  readonly model: EvaluatedModel
  /** Unit vectors [any number, embedDim] */
  add(vectors: Float32Array): void
}

export interface Pass {
  /** Those of all samples, in their order. */
  readonly records: readonly PictureRecord[]
  readonly pictures: number
  /** Models whose vectors were there. */
  readonly cached: ReadonlySet<EvaluatedModel>
}

/** Gives every taker the vectors of all pictures. @throws UserError where the data are at fault; the signal's reason */
export async function passOver(
  dataset: BenchmarkDataset,
  takers: readonly Taker[],
  options: PassOptions,
): Promise<Pass> {
  const stored = await findStored(dataset, takers, options)
  const missing = takers.filter((taker) => !stored?.files.has(taker))
  try {
    const records = missing.length > 0 ? await encode(dataset, missing, options) : stored!.records
    for (const [taker, file] of stored?.files ?? []) for await (const block of file.blocks()) taker.add(block)
    return {
      records,
      pictures: pictureCount(records),
      cached: new Set([...(stored?.files.keys() ?? [])].map(({ model }) => model)),
    }
  } finally {
    for (const file of stored?.files.values() ?? []) await file[Symbol.asyncDispose]()
  }
}

interface Stored {
  readonly records: readonly PictureRecord[]
  readonly files: ReadonlyMap<Taker, VectorFile>
}

/** Null where what samples say of themselves is not there: the shards must be read for it. */
async function findStored(
  dataset: BenchmarkDataset,
  takers: readonly Taker[],
  options: PassOptions,
): Promise<Stored | null> {
  const { cache } = options
  const records = await cache?.records(recordsKey(dataset, options))
  if (!cache || !records?.every(isRecord)) return null
  const files = new Map<Taker, VectorFile>()
  for (const taker of takers) {
    const file = await cache.vectors(vectorKey(dataset, taker.model, options), taker.model.embedDim)
    if (file?.rows === pictureCount(records)) files.set(taker, file)
    else await file?.[Symbol.asyncDispose]()
  }
  return { records, files }
}

async function encode(
  dataset: BenchmarkDataset,
  takers: readonly Taker[],
  options: PassOptions,
): Promise<PictureRecord[]> {
  const { cache, sampling, onPictures, signal } = options
  const records: PictureRecord[] = []
  const writers: (CacheWriter | null)[] = []
  try {
    for (const { model } of takers)
      writers.push((await cache?.writer(vectorKey(dataset, model, options), model.embedDim)) ?? null)
    const models = takers.map(({ model }) => model)
    let done = 0
    onPictures?.(done)
    const pass = encodePictures(sampled(dataset.samples(signal), sampling), models, {
      ...options,
      onRecord: (record) => records.push(record),
    })
    for await (const { count, vectors } of pass) {
      for (const [i, taker] of takers.entries()) {
        await writers[i]?.write(vectors[i]!)
        taker.add(vectors[i]!)
      }
      done += count
      onPictures?.(done)
    }
    if (records.length === 0)
      throw new UserError(`${dataset.location} has no samples`, "expected pictures in its shards")
    await cache?.storeRecords(recordsKey(dataset, options), records)
    for (const writer of writers) await writer?.commit()
    return records
  } finally {
    for (const writer of writers) await writer?.abandon()
  }
}

async function* sampled(
  samples: AsyncIterable<BenchmarkSample>,
  sampling: Sampling | null,
): AsyncGenerator<BenchmarkSample> {
  if (!sampling) return yield* samples
  const { count, size } = sampling
  let index = 0
  for await (const sample of samples) {
    if (size === null && index >= count) return
    if (size === null || isSampled(index, size, count)) yield sample
    index++
  }
}

function pictureCount(records: readonly PictureRecord[]): number {
  let most = -1
  for (const { pictures } of records) for (const picture of pictures) most = Math.max(most, picture)
  return most + 1
}

/** Changes with the form of `PictureRecord`, and of vectors. */
const recordsForm = "pictures 1"

function dataKey({ identity }: BenchmarkDataset, { sampling, distinct }: PassOptions): CacheKey {
  return [recordsForm, identity, JSON.stringify(sampling), distinct ? "distinct" : "each"]
}

/** What is read of a sample depends on the kind of the data and on the groups, which may be mended beside the same shards. */
function recordsKey(dataset: BenchmarkDataset, options: PassOptions): CacheKey {
  return [...dataKey(dataset, options), dataset.kind, JSON.stringify(dataset.groups)]
}

/** Whether a line of the cache, which others may have written, is a record. */
function isRecord(value: unknown): value is PictureRecord {
  if (!isObject(value)) return false
  const { key, label, texts, metadata, associations, pictures } = value
  return (
    typeof key === "string" &&
    (label === null || isSize(label)) &&
    isListOf(texts, (text) => typeof text === "string") &&
    (metadata === null || isListOf(metadata, Number.isFinite)) &&
    (associations === null || isListOf(associations, (each) => typeof each === "boolean")) &&
    isSizes(pictures)
  )
}

function isListOf(value: unknown, isPart: (part: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(isPart)
}

function vectorKey(dataset: BenchmarkDataset, model: EvaluatedModel, options: PassOptions): CacheKey {
  return [...dataKey(dataset, options), cacheIdentity(model)]
}
