/** A random batch for a model: noise, captions, and what two teachers would say of them. */
import { Random } from "../../src/core/arrays/random.ts"
import type { ClipConfig } from "../../src/core/family/variants.ts"
import type { Batch } from "../../src/data/training/batch.ts"
import type { ObjectiveConfig } from "../../src/train/objective.ts"

export interface BatchOptions {
  readonly batch: number
  /** Two captions and two teachers. */
  readonly reinforced: boolean
  /** Tokens of each caption; default: 12 for all. */
  readonly lengths?: CaptionLengths
}

/**
 * `short`: 12 tokens, as the quickstart's scenes have. `varied`: 8 to 77 tokens, half of them at most 16: 8 and a number
 * that is exponentially distributed with a mean of 12, as the captions of the web are mostly short and some are long.
 */
export const captionLengths = ["short", "varied"] as const
export type CaptionLengths = (typeof captionLengths)[number]

export const teacherWidths = [64, 64]

export function objectiveOf(reinforced: boolean): ObjectiveConfig {
  return reinforced
    ? { kind: "distill", weights: [0.25, 0.75], scales: [70, 60], averageAfterSoftmax: true }
    : { kind: "clip" }
}

/** The same for the same options. */
export function randomBatch(config: ClipConfig, options: BatchOptions): Batch {
  const random = new Random(1)
  const images = Float32Array.from({ length: options.batch * 3 * config.imageSize ** 2 }, () => random.uniform())
  const tokens = randomCaptions(config, options, random)
  if (!options.reinforced) return { images, tokens }
  const [image, text, synthetic] = [0, 1, 2].map(() => randomEmbeddings(options.batch, random)) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ]
  const teacher = { image, text, synthetic, widths: teacherWidths }
  return { images, tokens, synthetic: randomCaptions(config, options, random), teacher }
}

function randomCaptions({ text }: ClipConfig, { batch, lengths = "short" }: BatchOptions, random: Random) {
  const tokens = new BigInt64Array(batch * text.contextLength)
  for (let n = 0; n < batch; n++) {
    const length = lengths === "short" ? 12 : variedLength(random)
    const words = Math.min(length, text.contextLength) - 2
    const ids = [49406, ...Array.from({ length: words }, () => 1 + random.int(49000)), 49407]
    tokens.set(ids.map(BigInt), n * text.contextLength)
  }
  return tokens
}

function variedLength(random: Random): number {
  return 8 + Math.min(69, Math.floor(-12 * Math.log(1 - random.uniform())))
}

/** Unit rows of each teacher, concatenated. */
function randomEmbeddings(batch: number, random: Random): Float32Array {
  const rows = Array.from({ length: batch }, () => teacherWidths.map((width) => randomUnit(width, random))).flat(2)
  return Float32Array.from(rows)
}

function randomUnit(width: number, random: Random): number[] {
  const values = Array.from({ length: width }, () => random.normal())
  return values.map((x) => x / Math.hypot(...values))
}
