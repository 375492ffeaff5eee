/**
 * Shuffled training batches. What batch `step` holds is a function of the options and the step alone, so a run that
 * stopped goes on with `startStep` and gets the batches it would have had.
 */
import { UserError } from "../core/errors.ts"
import type { Preprocessing } from "../core/preprocess.ts"
import { Random } from "../core/random.ts"
import type { Tokenizer } from "../core/tokenizer.ts"
import type { Picture } from "./pictures.ts"
import { sampleWindow, writeView } from "./view.ts"

/** `web`: the caption that came with the picture. `precise`: `caption` of its metadata. `both`: either, evenly. */
export type CaptionChoice = "web" | "precise" | "both"

export interface BatchOptions {
  readonly batchSize: number
  readonly seed: number
  readonly preprocessing: Preprocessing
  readonly tokenizer: Tokenizer
  readonly caption: CaptionChoice
  /** Tokens per caption; 77 by default. */
  readonly contextLength?: number
  /** The step of the first batch, counted from 0. */
  readonly startStep?: number
}

export interface Batch {
  readonly step: number
  readonly epoch: number
  /** Positions in the list of pictures. */
  readonly indices: readonly number[]
  /** [N, 3, size, size], normalised as `preprocessing` says. */
  readonly images: Float32Array
  /** [N, contextLength] */
  readonly tokens: BigInt64Array
  readonly captions: readonly string[]
}

/** Batches without end, from `startStep` on; an epoch's rest that does not fill a batch is left out. */
export function* batches(pictures: readonly Picture[], options: BatchOptions): Generator<Batch, never> {
  checkCaptions(pictures, options.caption)
  const perEpoch = stepsPerEpoch(pictures.length, options.batchSize)
  let epoch = -1
  let order: readonly number[] = []
  for (let step = options.startStep ?? 0; ; step++) {
    if (Math.floor(step / perEpoch) !== epoch) {
      epoch = Math.floor(step / perEpoch)
      order = Random.of(options.seed, "order", epoch).shuffle([...pictures.keys()])
    }
    const start = (step % perEpoch) * options.batchSize
    yield makeBatch(pictures, order.slice(start, start + options.batchSize), step, epoch, options)
  }
}

/** Throws a UserError when the pictures do not fill one batch. */
export function stepsPerEpoch(pictures: number, batchSize: number): number {
  if (pictures >= batchSize) return Math.floor(pictures / batchSize)
  throw new UserError(
    `${pictures} pictures do not fill a batch of ${batchSize}`,
    "name more shards or a smaller batch size",
  )
}

function makeBatch(
  pictures: readonly Picture[],
  indices: readonly number[],
  step: number,
  epoch: number,
  { preprocessing, tokenizer, seed, caption, contextLength }: BatchOptions,
): Batch {
  const length = 3 * preprocessing.size ** 2
  const images = new Float32Array(indices.length * length)
  const captions = indices.map((index, row) => {
    const picture = pictures[index]!
    const random = Random.of(seed, "view", epoch, index)
    const window = sampleWindow(picture.image.width, random)
    writeView(picture.image, window, preprocessing, images.subarray(row * length, (row + 1) * length))
    return captionOf(picture, caption, random)
  })
  return { step, epoch, indices, images, tokens: tokenizer.encodeBatch(captions, contextLength).ids, captions }
}

function captionOf(picture: Picture, choice: CaptionChoice, random: Random): string {
  const precise = choice === "precise" || (choice === "both" && random.chance(0.5))
  return precise ? preciseCaption(picture)! : picture.caption
}

/** The metadata's `caption`, or null where there is none. */
export function preciseCaption({ metadata }: Picture): string | null {
  return typeof metadata?.caption === "string" ? metadata.caption : null
}

function checkCaptions(pictures: readonly Picture[], choice: CaptionChoice): void {
  if (choice === "web") return
  const lacking = pictures.find((picture) => preciseCaption(picture) === null)
  if (lacking)
    throw new UserError(`${lacking.name}: no "caption" in the json member`, `use the captions of txt ("web")`)
}
