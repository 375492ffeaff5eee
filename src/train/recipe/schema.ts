/**
 * A training recipe: everything that decides what a run computes, as data. Every key exists in a resolved recipe, `null`
 * where a thing is off or decided elsewhere, so the file beside a run says all of it. Where a run computes (device,
 * threads, ranks) is no part of it.
 */

import { z } from "zod"
import { recipePrecisions } from "../../core/precision.ts"
import { truncatedChoices } from "../../host/image/picture-format.ts"

const path = z.string().min(1)
const integerFrom = (low: number) => z.int().min(low)
const share = z.number().min(0).max(1)
const positive = z.number().positive()
const towers = z.array(z.enum(["image", "text"]))
/** AdamW divides by 1 - beta. */
const beta = z.number().min(0).max(0.999999)

const data = z.strictObject({
  /** Shards, folder, CSV or JSONL, as `--train-data` takes them; several joined by `::`. */
  train: path.nullable().default(null),
  format: z.enum(["auto", "shards", "reinforced", "folder", "csv", "jsonl"]).default("auto"),
  /** Uses stored views, synthetic captions and teachers' embeddings. */
  reinforced: z.boolean().default(false),
  /** Which keys of a sample's synthetic captions, as a regular expression. */
  syntheticPattern: z.string().refine(isRegExp, "a regular expression").default("^syn_text.*$"),
  /** Probability that a synthetic caption takes the place of the real one, with one loss term; null: two terms. */
  mixSynthetic: share.nullable().default(null),
  /** Shards are drawn with replacement; else every sample is seen once per epoch. */
  resampled: z.boolean().default(false),
  /** The stored augmentation, a random crop, or resize and centre crop; null: stored where reinforced, else crop. */
  view: z.enum(["stored", "crop", "center"]).nullable().default(null),
  /** Share of the picture's area that a random crop shows. */
  cropScale: z
    .tuple([share, share])
    .refine(([low, high]) => 0 < low && low <= high, "[low, high] with 0 < low <= high <= 1")
    .default([0.9, 1]),
  /** The text, the caption in the json, or either. */
  captions: z.enum(["web", "precise", "both"]).default("web"),
  /** Columns of CSV, names of JSONL; null: the usual ones. */
  imageColumn: path.nullable().default(null),
  captionColumn: path.nullable().default(null),
  /** Of CSV; null: found in its first line. */
  separator: z.string().length(1, "one character").nullable().default(null),
  /** Of each teacher's embeddings, as they lie side by side; none: found in them. */
  teacherWidths: z.array(integerFrom(1)).default([]),
  /** Pairs of an epoch, where the data does not say. */
  samples: integerFrom(1).nullable().default(null),
  /** Threads that prepare batches on each rank; null: one beside a processor that trains, up to eight beside a GPU. */
  workers: integerFrom(1).nullable().default(null),
  /** What becomes of a JPEG or PNG that ends before its end: what is there is used, or the sample cannot be. */
  truncated: z.enum(truncatedChoices).default("accept"),
  /**
   * Unusable samples that are replaced before the run gives up, over all ranks: below 1 a share of an epoch's samples (of
   * draws, where shards are drawn) and 100 at least, else a number.
   */
  maxBadSamples: z
    .number()
    .min(0)
    .refine((limit) => limit < 1 || Number.isSafeInteger(limit), "a share below 1 or a whole number")
    .default(0.01),
})

const loss = z.strictObject({
  kind: z.enum(["clip", "distill", "siglip", "coca"]).default("clip"),
  /** Of the contrastive and the distillation term: [1 - lambda, lambda]; null: [0, 1] where there are teachers. */
  weights: z
    .tuple([z.number().min(0), z.number().min(0)])
    .nullable()
    .default(null),
  /** The factor on the similarities of each teacher. */
  teacherScales: z.array(positive).default([]),
  /** Averages the teachers' probabilities; else one product over their joined embeddings. */
  averageAfterSoftmax: z.boolean().default(true),
  /** Added to the similarities of each teacher; of the sigmoid form. */
  teacherBiases: z.array(z.number()).default([]),
  /** Of the two terms of CoCa. */
  contrastiveWeight: z.number().min(0).default(1),
  captionWeight: z.number().min(0).default(2),
  /** Words besides those that occur over which the softmax of captions is estimated; null: all, exactly. */
  sampledWords: integerFrom(1).nullable().default(null),
})

const batch = z.strictObject({
  /** Pairs of a step over all ranks. */
  size: integerFrom(2).default(64),
  /** Pairs that a rank encodes at once (gradient caching); null: all it has. */
  chunk: integerFrom(1).nullable().default(null),
})

const schedule = z.strictObject({
  /** At most one of the three says how long the run is; none: 32 epochs. */
  steps: integerFrom(1).nullable().default(null),
  /** Pairs seen, repeats counted. */
  samples: integerFrom(1).nullable().default(null),
  epochs: positive.nullable().default(null),
  /** Steps to the full rate; null: 100, or a tenth of the run where that is less. */
  warmup: integerFrom(0).nullable().default(null),
  learningRate: z.number().min(0).default(1e-3),
  /** Where the cosine ends. */
  minLearningRate: z.number().min(0).default(0),
  /** Steps before the cosine begins, the warm-up among them. */
  constantSteps: integerFrom(0).default(0),
})

const optimizer = z.strictObject({
  beta1: beta.default(0.9),
  beta2: beta.default(0.95),
  eps: positive.default(1e-8),
  weightDecay: z.number().min(0).default(0.2),
  /** Largest joint norm of all gradients. */
  gradClipNorm: positive.default(1),
  /** Factor on the rate of each layer below the last; null: all learn at one rate. */
  layerDecay: z.number().positive().max(1).nullable().default(null),
})

const save = z.strictObject({
  /** Steps between two checkpoints. */
  every: integerFrom(1).default(1000),
  /** How many of them stay. */
  keep: integerFrom(1).default(1),
})

const evaluate = z.strictObject({
  /** A task list for zero-shot evaluation along the way. */
  tasks: path.nullable().default(null),
  /** Steps between two evaluations. */
  every: integerFrom(1).default(1000),
})

export const recipeSchema = z.strictObject({
  /** Name of a variant or a captioner. */
  model: path.default("quickstart"),
  /** A checkpoint, a run's folder or a released model with the weights to begin with; null: initialised. */
  start: path.nullable().default(null),
  data: data.prefault({}),
  loss: loss.prefault({}),
  /** Checkpoints that run beside the student, in place of embeddings stored in the data. */
  teachers: z.array(path).default([]),
  batch: batch.prefault({}),
  schedule: schedule.prefault({}),
  optimizer: optimizer.prefault({}),
  precision: z.enum(recipePrecisions).default("fp32"),
  activationCheckpointing: z.boolean().default(false),
  /** Decay of the moving average of the weights; null: none. */
  ema: z.number().min(0).lt(1).nullable().default(null),
  /** Towers that do not learn; their batch norm keeps its statistics. */
  lock: towers.default([]),
  /** Batch norm uses its stored statistics and leaves them as they are: everywhere, or in these towers. */
  frozenStatistics: z.union([z.boolean(), towers], "true, false or a list of towers").default(false),
  /** Batch norm uses the statistics of all ranks. */
  syncBatchNorm: z.boolean().default(false),
  /** Of initialisation and data. */
  seed: integerFrom(0)
    .max(2 ** 32 - 1)
    .default(0),
  save: save.prefault({}),
  evaluate: evaluate.prefault({}),
})

export type Recipe = z.output<typeof recipeSchema>

/** As it is written: what is left out has its default. */
export type RecipeInput = z.input<typeof recipeSchema>

/** The recipe that says nothing. */
export const defaultRecipe: Recipe = recipeSchema.parse({})

function isRegExp(text: string): boolean {
  try {
    return new RegExp(text) instanceof RegExp
  } catch {
    return false
  }
}
