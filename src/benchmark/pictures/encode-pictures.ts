/**
 * One pass over a task's pictures: each is decoded once for all models, and batches are prepared while models look at the
 * ones before. Nothing is kept but what a sample says of itself (`PictureRecord`).
 */
import { createHash } from "node:crypto"
import { batchesOf } from "../../core/arrays/batches.ts"
import { UserError } from "../../core/errors.ts"
import type { Image8 } from "../../core/image/pixels.ts"
import { mapOrdered } from "../../core/parallel.ts"
import { BatchMaker, type PixelBatch } from "../../pictures/batch-maker.ts"
import type { PicturePool } from "../../pictures/picture-pool.ts"
import type { NamedBytes } from "../../pictures/source.ts"
import type { BenchmarkSample } from "../layout/benchmark-dataset.ts"
import { type EvaluatedModel, type PictureModel, type PixelModel, unitVectors } from "../run/evaluated-model.ts"

/** A sample without its pictures' bytes. */
export interface PictureRecord extends Omit<BenchmarkSample, "images"> {
  /** Where its pictures are among those that are encoded: several for an association, whose candidates are encoded once. */
  readonly pictures: readonly number[]
}

export interface EncodeOptions {
  readonly pool: PicturePool
  /** Pictures that a model takes at a time. */
  readonly batchSize: number
  /** Whether equal files are encoded once, as an association's candidates, which come again and again. */
  readonly distinct: boolean
  /** Is given the records as they are read, in order. */
  readonly onRecord: (record: PictureRecord) => void
  readonly signal?: AbortSignal | undefined
}

/** Unit vectors of the next pictures: for each model [count, embedDim]. */
interface VectorBatch {
  readonly count: number
  readonly vectors: readonly Float32Array[]
}

/** @throws the signal's reason between two batches; UserError that names a damaged picture */
export async function* encodePictures(
  samples: AsyncIterable<BenchmarkSample>,
  models: readonly EvaluatedModel[],
  options: EncodeOptions,
): AsyncGenerator<VectorBatch> {
  const { batchSize, signal } = options
  const maker = new BatchMaker(
    models.filter(takesPixels).map(({ preprocessing }) => preprocessing),
    { pool: options.pool, batchSize, wantsImage: !models.every(takesPixels) },
  )
  const pictures = batchesOf(picturesOf(samples, options), batchSize)
  // Two under way: one is prepared while the models look at the other.
  for await (const batch of mapOrdered(pictures, 2, (group) => maker.make(group))) {
    signal?.throwIfAborted()
    const bad = batch.outcomes.find((outcome) => outcome instanceof UserError)
    if (bad) throw bad
    const vectors: Float32Array[] = []
    // One model at a time: they share the processor, or the GPU's memory.
    for (const model of models) vectors.push(unitVectors(await encodeBatch(model, batch), model, "picture"))
    maker.recycle(batch)
    yield { count: batch.count, vectors }
  }
  signal?.throwIfAborted()
}

async function* picturesOf(
  samples: AsyncIterable<BenchmarkSample>,
  { distinct, onRecord }: EncodeOptions,
): AsyncGenerator<NamedBytes> {
  const known = new Map<string, number>()
  let next = 0
  for await (const { images, ...sample } of samples) {
    const fresh: Uint8Array[] = []
    const pictures = images.map((bytes) => {
      const digest = distinct ? createHash("sha256").update(bytes).digest("base64") : null
      const place = digest === null ? undefined : known.get(digest)
      if (place !== undefined) return place
      if (digest !== null) known.set(digest, next)
      fresh.push(bytes)
      return next++
    })
    onRecord({ ...sample, pictures })
    for (const bytes of fresh) yield { name: sample.key, bytes }
  }
}

/** [count, embedDim] */
async function encodeBatch(model: EvaluatedModel, { count, rows, outcomes }: PixelBatch): Promise<Float32Array> {
  const vectors = takesPixels(model)
    ? await model.encodePixels(rows.of(model.preprocessing, count), count)
    : await model.encodeImages(outcomes as readonly Image8[])
  if (vectors.length === count * model.embedDim) return vectors
  throw new UserError(`${model.name} gave ${vectors.length} values for ${count} pictures, not ${model.embedDim} each`)
}

function takesPixels(model: EvaluatedModel): model is PixelModel {
  return "encodePixels" in model && !("encodeImages" in (model as Partial<PictureModel>))
}
