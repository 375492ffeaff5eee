/**
 * A training recipe: everything that decides what a run computes, as data. A resolved recipe has every key, with `null`
 * for what is off or decided elsewhere, so the file beside a run is complete. Where a run computes (device, threads, ranks)
 * is not part of it.
 */

import { z } from "zod"
import { recipePrecisions } from "../../core/precision.ts"
import { truncatedChoices } from "../../host/image/picture-format.ts"

/** Stands for the model's name where it is that of the weights to begin with, whose file says its configuration. */
export const modelOfStart = "start"

const path = z.string().min(1)
const integerFrom = (low: number) => z.int().min(low)
const share = z.number().min(0).max(1)
const positive = z.number().positive()
const towers = z.array(z.enum(["image", "text"]))
/** AdamW divides by 1 - beta. */
const beta = z.number().min(0).max(0.999999)

const data = z.strictObject({
  /** A folder, CSV or JSONL of pictures, or shards joined by `::`, as `--train-data` takes them. */
  train: path.nullable().default(null),
  format: z.enum(["auto", "shards", "reinforced", "folder", "csv", "jsonl"]).default("auto"),
  /** Whether stored views, synthetic captions and teachers' embeddings are used. */
  reinforced: z.boolean().default(false),
  /** Which of a sample's synthetic captions are used: a regular expression for their keys. */
  syntheticPattern: z.string().refine(isRegExp, "a regular expression").default("^syn_text.*$"),
  /**
   * Probability that a synthetic caption takes the place of the real one, with one loss term; at 1, pictures need no real
   * ones; null: two terms, or 1 where the data have no real captions.
   */
  mixSynthetic: share.nullable().default(null),
  /** Whether shards are drawn with replacement; else every sample is seen once per epoch. */
  resampled: z.boolean().default(false),
  /** The stored augmentation, a random crop, or resize and centre crop; null: stored for reinforced data, else crop. */
  view: z.enum(["stored", "crop", "center"]).nullable().default(null),
  /** Share of the picture's area that a random crop shows. */
  cropScale: z
    .tuple([share, share])
    .refine(([low, high]) => 0 < low && low <= high, "[low, high] with 0 < low <= high <= 1")
    .default([0.9, 1]),
  /** The text file, the caption in the JSON file, or either. */
  captions: z.enum(["web", "precise", "both"]).default("web"),
  /** Columns of a CSV file, names in a JSONL file; null: the usual ones. */
  imageColumn: path.nullable().default(null),
  captionColumn: path.nullable().default(null),
  /** Separator of a CSV file; null: found in its first line. */
  separator: z.string().length(1, "one character").nullable().default(null),
  /** Width of each teacher's embeddings, which are stored concatenated; none: found in the data. */
  teacherWidths: z.array(integerFrom(1)).default([]),
  /** Pairs of an epoch; null: as many as the data has. */
  samples: integerFrom(1).nullable().default(null),
  /** Threads that prepare batches on each rank; null: one beside a processor that trains, up to eight beside a GPU. */
  workers: integerFrom(1).nullable().default(null),
  /** Samples whose pictures are narrower or lower than this, in pixels, are replaced by others; null: none. */
  minImageSize: integerFrom(1).nullable().default(null),
  /** What happens to a truncated JPEG or PNG: accept uses the part that is there, refuse replaces the sample. */
  truncated: z.enum(truncatedChoices).default("accept"),
  /**
   * How many unusable samples are replaced, over all ranks, before the run gives up. A value below 1 is a share of an epoch's
   * samples (of the draws, where shards are drawn), and at least 100 samples; else it is a number of samples.
   */
  maxBadSamples: z
    .number()
    .min(0)
    .refine((limit) => limit < 1 || Number.isSafeInteger(limit), "a share below 1 or a whole number")
    .default(0.01),
})

const loss = z.strictObject({
  kind: z.enum(["clip", "distill", "siglip", "coca"]).default("clip"),
  /** Weights of the contrastive and the distillation term: [1 - lambda, lambda]; null: [0, 1] where there are teachers. */
  weights: z
    .tuple([z.number().min(0), z.number().min(0)])
    .nullable()
    .default(null),
  /** The factor on the similarities of each teacher. */
  teacherScales: z.array(positive).default([]),
  /** Whether the teachers' probabilities are averaged; else their embeddings are concatenated and compared as one. */
  averageAfterSoftmax: z.boolean().default(true),
  /** Added to the similarities of each teacher, in the sigmoid form. */
  teacherBiases: z.array(z.number()).default([]),
  /** Weights of CoCa's two terms. */
  contrastiveWeight: z.number().min(0).default(1),
  captionWeight: z.number().min(0).default(2),
  /** Words, besides those that occur, over which the softmax of captions is estimated; null: all words, exactly. */
  sampledWords: integerFrom(1).nullable().default(null),
})

const batch = z.strictObject({
  /** Pairs of a step over all ranks. */
  size: integerFrom(2).default(64),
  /** Pairs that a rank encodes at once (gradient caching); null: all of its pairs. */
  chunk: integerFrom(1).nullable().default(null),
})

const schedule = z.strictObject({
  /** Steps, samples and epochs: at most one of them says how long the run is; none: 32 epochs. */
  steps: integerFrom(1).nullable().default(null),
  /** Pairs seen, repeats counted. */
  samples: integerFrom(1).nullable().default(null),
  epochs: positive.nullable().default(null),
  /** Steps in which the rate rises to its full value; null: 100, or a tenth of the run where that is less. */
  warmup: integerFrom(0).nullable().default(null),
  learningRate: z.number().min(0).default(1e-3),
  /** Where the cosine ends. */
  minLearningRate: z.number().min(0).default(0),
  /** Steps before the cosine begins, including the warm-up. */
  constantSteps: integerFrom(0).default(0),
})

const optimizer = z.strictObject({
  beta1: beta.default(0.9),
  beta2: beta.default(0.95),
  eps: positive.default(1e-8),
  weightDecay: z.number().min(0).default(0.2),
  /** Largest joint norm of all gradients. */
  gradClipNorm: positive.default(1),
  /** Factor on the rate from each layer to the one below; null: all layers learn at the same rate. */
  layerDecay: z.number().positive().max(1).nullable().default(null),
})

const average = z.strictObject({
  /** The share of the average that stays at each step; null: there is no average. */
  decay: z.number().min(0).lt(1).nullable().default(null),
  /** The share of step t is (1 + t) / (10 + t) until it reaches the decay: short runs forget the weights they begin with. */
  warmup: z.boolean().default(false),
})

const save = z.strictObject({
  /** Steps between two checkpoints. */
  every: integerFrom(1).default(1000),
  /** How many of them are kept. */
  keep: integerFrom(1).default(1),
})

const evaluate = z.strictObject({
  /** A task list for zero-shot evaluation along the way. */
  tasks: path.nullable().default(null),
  /** Steps between two evaluations. */
  every: integerFrom(1).default(1000),
})

export const recipeSchema = z.strictObject({
  /** Name of a variant or a captioner; "start": the model of the weights to begin with. */
  model: path.default("quickstart"),
  /** Where the weights to begin with come from: a checkpoint, a run's folder or a released model; null: they are initialised. */
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
  /** Moving average of the weights, which is what a run gives; a number is its decay. */
  ema: z
    .custom<number | null | z.input<typeof average>>()
    .transform((value) => (typeof value === "object" && value !== null ? value : { decay: value }))
    .pipe(average)
    .prefault({}),
  /**
   * RangeAugment: similarity of the student's pictures to the unchanged ones, as PSNR in decibels, at the first and at the
   * last step, for example [40, 20]; null: pictures are not changed. The ranges begin wide and move by the learning rate
   * at each step, so it is for runs of many thousands of steps.
   */
  rangeAugment: z.tuple([positive, positive]).nullable().default(null),
  /** Towers that do not learn; their batch norm keeps its statistics. */
  lock: towers.default([]),
  /** Whether batch norm uses its stored statistics and leaves them as they are: everywhere, or in these towers. */
  frozenStatistics: z.union([z.boolean(), towers], "true, false or a list of towers").default(false),
  /** Whether batch norm uses the statistics of all ranks. */
  syncBatchNorm: z.boolean().default(false),
  /** Seed of the initialisation and of the data's order. */
  seed: integerFrom(0)
    .max(2 ** 32 - 1)
    .default(0),
  save: save.prefault({}),
  evaluate: evaluate.prefault({}),
})

export type Recipe = z.output<typeof recipeSchema>

/** A recipe as it is written by hand: what is left out has its default. */
export type RecipeInput = z.input<typeof recipeSchema>

/** The recipe in which every key has its default. */
export const defaultRecipe: Recipe = recipeSchema.parse({})

function isRegExp(text: string): boolean {
  try {
    return new RegExp(text) instanceof RegExp
  } catch {
    return false
  }
}
