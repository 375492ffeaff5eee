/**
 * Files of pictures to vectors of one or several models: each is decoded once. Many pictures go through threads that have
 * towers of their own (`tower-threads.ts`); few ones, and models that compute elsewhere, through batches that are prepared
 * while the models compute the ones before (`batch-maker.ts`).
 */
import { batchesOf } from "../core/arrays/batches.ts"
import { UserError } from "../core/errors.ts"
import type { Preprocessing } from "../core/image/preprocess.ts"
import { mapOrdered } from "../core/parallel.ts"
import type { TowerPlace } from "../run/tower.ts"
import { BatchMaker, type PixelBatch } from "./batch-maker.ts"
import { type Course, chooseCourse } from "./course.ts"
import { KeptTowers } from "./kept-towers.ts"
import { PicturePool } from "./picture-pool.ts"
import { sharpnessOfRows } from "./pixel-rows.ts"
import type { PixelOptions } from "./prepare-pixels.ts"
import type { PictureSource } from "./source.ts"
import type { Encoded } from "./tower-threads.ts"

export type { PixelOptions } from "./prepare-pixels.ts"
export type { PictureSource } from "./source.ts"

/** What takes pixels. */
export interface PixelEncoder {
  readonly name: string
  readonly embedDim: number
  readonly preprocessing: Preprocessing
  /** Where threads find its image tower, to compute it without this encoder; null or absent: they cannot. */
  readonly place?: TowerPlace | null
  /** Normalised pixels [count, 3, size, size] -> [count, embedDim] */
  encodePixels(pixels: Float32Array, count: number): Promise<Float32Array>
}

export interface EncodeFilesOptions {
  readonly decode?: PixelOptions
  /** Pictures that a tower takes at a time (default: 1 in threads of its own, else 8). */
  readonly batchSize?: number
  /** Threads that decode, and compute if that is possible (default: one for each processor). With 0, all is computed in this thread. */
  readonly threads?: number | undefined
  /** Keeps threads and their towers for the next call (default: they end with this one). */
  readonly kept?: KeptTowers | undefined
  /** Whether it is measured how sharp pictures are (`host/image/sharpness.ts`). */
  readonly sharpness?: boolean | undefined
  readonly signal?: AbortSignal | undefined
  /** Is told what was chosen, and why, in lines. */
  readonly onChoice?: ((line: string) => void) | undefined
}

export type EncodedFile<Source extends PictureSource = PictureSource> = {
  readonly source: Source
} & (
  | {
      /** For each encoder [embedDim], as its tower gives them. */
      readonly vectors: readonly Float32Array[]
      /** By the pixels that the first encoder takes; null where it is not wanted. */
      readonly sharpness: number | null
    }
  | { readonly error: UserError }
)

/**
 * In the order of the sources, a batch at a time. One that cannot be decoded gives the reason, and the others go on.
 *
 * @throws the signal's reason between two batches; EnvironmentError where a thread ended, for example without memory
 */
export async function* encodeFiles<Source extends PictureSource>(
  sources: Iterable<Source> | AsyncIterable<Source>,
  encoders: readonly PixelEncoder[],
  options: EncodeFilesOptions = {},
): AsyncGenerator<EncodedFile<Source>[]> {
  const { decode, signal, onChoice } = options
  signal?.throwIfAborted()
  const { first, all } = await peek(sources, fewPictures)
  const places = encoders.map(({ place }) => place ?? null)
  const course = chooseCourse(places, { ...options, isFew: first < fewPictures })
  for (const line of course.reasons) onChoice?.(line)
  if (decode?.scaled) onChoice?.("large JPEG files are made smaller by the decoder: vectors differ a little")
  const encode = course.kind === "threads" ? encodeInThreads : encodeHere
  for await (const batch of encode(batchesOf(all, course.batchSize), encoders, course, options)) {
    yield batch
    signal?.throwIfAborted()
  }
}

/** Threads open their towers in the time that about this many pictures take. */
const fewPictures = 16

/** The same sources, after up to `most` of them have been counted. */
async function peek<T>(sources: Iterable<T> | AsyncIterable<T>, most: number) {
  const iterator = (Symbol.asyncIterator in sources ? sources : asyncOf(sources))[Symbol.asyncIterator]()
  const seen: T[] = []
  while (seen.length < most) {
    const { done, value } = await iterator.next()
    if (done) break
    seen.push(value)
  }
  async function* all(): AsyncGenerator<T> {
    try {
      yield* seen
      for (;;) {
        const { done, value } = await iterator.next()
        if (done) return
        yield value
      }
    } finally {
      await iterator.return?.()
    }
  }
  return { first: seen.length, all: all() }
}

async function* asyncOf<T>(items: Iterable<T>): AsyncGenerator<T> {
  yield* items
}

type Batches<Source> = AsyncIterable<Source[]>

async function* encodeInThreads<Source extends PictureSource>(
  batches: Batches<Source>,
  encoders: readonly PixelEncoder[],
  { threads, batchSize }: Course,
  { decode = {}, kept, sharpness = false }: EncodeFilesOptions,
): AsyncGenerator<EncodedFile<Source>[]> {
  const towers = encoders.map(({ place, preprocessing, embedDim }) => ({ place: place!, preprocessing, embedDim }))
  await using owner = kept ? null : new KeptTowers()
  await using used = (kept ?? owner!).use({ towers, batchSize, options: decode, sharpness }, threads)
  // Each thread computes one batch and has the next two; two more are read, or wait for a slow one before them.
  const work = async (batch: Source[]) => answersOf(batch, await used.pool.encode(batch))
  yield* mapOrdered(batches, 5 * threads, work)
}

async function* encodeHere<Source extends PictureSource>(
  batches: Batches<Source>,
  encoders: readonly PixelEncoder[],
  { threads, batchSize }: Course,
  { decode = {}, sharpness = false }: EncodeFilesOptions,
): AsyncGenerator<EncodedFile<Source>[]> {
  await using pool = new PicturePool(threads)
  const preprocessings = encoders.map(({ preprocessing }) => preprocessing)
  const maker = new BatchMaker(preprocessings, { ...decode, pool, batchSize })
  const prepare = async (batch: Source[]) => ({ batch, made: await maker.make(batch) })
  for await (const { batch, made } of mapOrdered(batches, 2, prepare)) {
    const encoded = await encodeBatch(made, encoders, sharpness)
    maker.recycle(made)
    yield answersOf(batch, encoded)
  }
}

async function encodeBatch(
  { count, rows, outcomes }: PixelBatch,
  encoders: readonly PixelEncoder[],
  wantsSharpness: boolean,
): Promise<readonly Encoded[]> {
  if (outcomes.every((outcome) => outcome instanceof UserError)) return outcomes
  const sharpnesses = wantsSharpness ? sharpnessOfRows(rows, encoders[0]!.preprocessing, count) : null
  const vectors: Float32Array[] = []
  // One model at a time: they share the processor.
  for (const encoder of encoders) vectors.push(await encoder.encodePixels(rows.of(encoder.preprocessing, count), count))
  const vectorsOf = (row: number) =>
    encoders.map(({ embedDim }, i) => vectors[i]!.slice(row * embedDim, (row + 1) * embedDim))
  return outcomes.map((outcome, row) =>
    outcome instanceof UserError ? outcome : { vectors: vectorsOf(row), sharpness: sharpnesses?.[row] ?? null },
  )
}

function answersOf<Source extends PictureSource>(
  batch: readonly Source[],
  encoded: readonly Encoded[],
): EncodedFile<Source>[] {
  return batch.map((source, i) => {
    const outcome = encoded[i]!
    return outcome instanceof UserError ? { source, error: outcome } : { source, ...outcome }
  })
}
