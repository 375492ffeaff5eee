/**
 * One pass over a task's pictures: each is decoded once for all models, and batches are prepared while models look at the
 * ones before. Nothing is kept but what a sample says of itself (`PictureRecord`).
 */
import { createHash } from "node:crypto"
import { batchesOf } from "../../core/arrays/batches.ts"
import { UserError } from "../../core/errors.ts"
import type { Image8 } from "../../core/image/pixels.ts"
import type { Preprocessing } from "../../core/image/preprocess.ts"
import { mapOrdered } from "../../data/parallel.ts"
import type { BenchmarkSample } from "../layout/benchmark-dataset.ts"
import { type EvaluatedModel, type PictureModel, type PixelModel, unitVectors } from "../run/evaluated-model.ts"
import type { PicturePool } from "./picture-pool.ts"

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
  const maker = new BatchMaker(models, options.pool, batchSize)
  const pictures = batchesOf(picturesOf(samples, options), batchSize)
  // Two under way: one is prepared while the models look at the other.
  for await (const batch of mapOrdered(pictures, 2, (group) => maker.make(group))) {
    signal?.throwIfAborted()
    const vectors: Float32Array[] = []
    // One model at a time: they share the processor, or the GPU's memory.
    for (const model of models) vectors.push(unitVectors(await maker.encode(model, batch), model, "picture"))
    maker.recycle(batch)
    yield { count: batch.count, vectors }
  }
  signal?.throwIfAborted()
}

interface Picture {
  readonly name: string
  readonly bytes: Uint8Array
}

async function* picturesOf(
  samples: AsyncIterable<BenchmarkSample>,
  { distinct, onRecord }: EncodeOptions,
): AsyncGenerator<Picture> {
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

interface Batch {
  readonly count: number
  /** For each kind of pixels [batchSize, 3, size, size], of which the first `count` are filled. */
  readonly pixels: readonly Float32Array[]
  readonly images: readonly (Image8 | null)[]
}

/** Prepares batches in memory that is used again, because the system has to clear new memory. */
class BatchMaker {
  private readonly targets: readonly Preprocessing[]
  private readonly wantsImage: boolean
  private readonly spares: (readonly Float32Array[])[] = []

  constructor(
    models: readonly EvaluatedModel[],
    private readonly pool: PicturePool,
    private readonly batchSize: number,
  ) {
    const wanted = models.filter(takesPixels).map(({ preprocessing }) => preprocessing)
    this.targets = [...new Map(wanted.map((target) => [targetKey(target), target])).values()]
    this.wantsImage = !models.every(takesPixels)
  }

  async make(group: readonly Picture[]): Promise<Batch> {
    const pixels =
      this.spares.pop() ?? this.targets.map(({ size }) => new Float32Array(this.batchSize * 3 * size * size))
    const rows = group.map((picture, row) => ({ picture, row }))
    const images: (Image8 | null)[] = []
    const prepare = ({ picture, row }: (typeof rows)[number]) =>
      this.pool.prepare(
        { ...picture, targets: this.targets, wantsImage: this.wantsImage },
        this.targets.map(({ size }, t) => pixels[t]!.subarray(row * 3 * size * size, (row + 1) * 3 * size * size)),
      )
    for await (const image of mapOrdered(rows, this.pool.parallel, prepare)) images.push(image)
    return { count: group.length, pixels, images }
  }

  async encode(model: EvaluatedModel, { count, pixels, images }: Batch): Promise<Float32Array> {
    const vectors = takesPixels(model)
      ? await model.encodePixels(this.pixelsFor(model, pixels, count), count)
      : await model.encodeImages(images as readonly Image8[])
    if (vectors.length === count * model.embedDim) return vectors
    throw new UserError(`${model.name} gave ${vectors.length} values for ${count} pictures, not ${model.embedDim} each`)
  }

  recycle({ pixels }: Batch): void {
    this.spares.push(pixels)
  }

  private pixelsFor({ preprocessing }: PixelModel, pixels: readonly Float32Array[], count: number): Float32Array {
    const target = this.targets.findIndex((each) => targetKey(each) === targetKey(preprocessing))
    return pixels[target]!.subarray(0, count * 3 * preprocessing.size ** 2)
  }
}

function takesPixels(model: EvaluatedModel): model is PixelModel {
  return "encodePixels" in model && !("encodeImages" in (model as Partial<PictureModel>))
}

function targetKey({ size, interpolation, mean, std }: Preprocessing): string {
  return JSON.stringify([size, interpolation, mean, std])
}
