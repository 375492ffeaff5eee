/**
 * Short forms of a recipe's keys: open_clip's flags, Apple's additions such as `--dataset-reinforcement`, and a few of our own.
 * One table, flag -> key. The recipe's schema checks the values; its messages name the flag.
 */
import { UserError } from "../../core/errors.ts"
import { recipePrecisionAliases } from "../../core/precision.ts"
import { tfrecordError } from "../../data/expand.ts"
import { type Override, parseValue } from "../../train/recipe/overrides.ts"

interface RecipeFlag {
  /** As commander takes it. */
  readonly flags: string
  readonly help: string
  /** What the flag sets, from its text, its texts, or its presence. */
  readonly set: (value: FlagValue) => Readonly<Record<string, unknown>>
}

/** A text, several, or `true` where a flag takes none. */
type FlagValue = string | readonly string[] | true

const one = (key: string) => (value: FlagValue) => ({ [key]: typeof value === "string" ? parseValue(value) : value })
/** Paths and patterns stay texts, even where they look like JSON. */
const text = (key: string) => (value: FlagValue) => ({ [key]: value })
const list = (key: string) => (value: FlagValue) => ({
  [key]: (Array.isArray(value) ? value : [value]).map((item) => parseValue(String(item))),
})

const teachers = (value: FlagValue) => ({ "loss.kind": "distill", teachers: Array.isArray(value) ? value : [value] })
/** Apple's default, -1: the width is found in the embeddings. */
const isFound = (value: FlagValue) => String(value) === "-1"

const formats: Readonly<Record<string, string>> = { webdataset: "shards" }

function formatOf(value: string): string {
  if (value === "tfrecord") throw tfrecordError("--dataset-type tfrecord")
  return formats[value] ?? value
}

/** "1%" is 0.01. */
function shareOf(value: string): unknown {
  const percent = /^(\d+(?:\.\d+)?)%$/.exec(value)?.[1]
  return percent === undefined ? parseValue(value) : Number(percent) / 100
}

export const recipeFlags = [
  // Data
  {
    flags: "--train-data <path>",
    help: "a folder, CSV or JSONL of pictures; or shards, joined by ::",
    set: text("data.train"),
  },
  { flags: "--train-num-samples <n>", help: "pairs of an epoch", set: one("data.samples") },
  {
    flags: "--dataset-type <type>",
    help: "auto, webdataset, reinforced, folder, csv, jsonl",
    set: (value) => ({ "data.format": formatOf(String(value)) }),
  },
  { flags: "--dataset-resampled", help: "draw shards with replacement", set: one("data.resampled") },
  {
    flags: "--dataset-reinforcement",
    help: "use stored views, synthetic captions and teachers' embeddings",
    set: one("data.reinforced"),
  },
  {
    flags: "--dataset-reinforcement-mix-synthetic",
    help: "one caption for each picture and one loss term; the real caption where no ratio is given",
    set: () => ({ "data.mixSynthetic": 0 }),
  },
  {
    flags: "--dataset-reinforcement-mix-synthetic-ratio <p>",
    help: "share of synthetic captions in place of real ones, one loss term; 1 where pictures have no real ones",
    set: one("data.mixSynthetic"),
  },
  {
    flags: "--dataset-reinforcement-syn-text-key-regex <pattern>",
    help: "keys of the synthetic captions that are used",
    set: text("data.syntheticPattern"),
  },
  {
    flags: "--dataset-reinforcement-filter-image-size <px>",
    help: "pass over samples whose pictures are narrower or lower, also in data that are not reinforced",
    set: one("data.minImageSize"),
  },
  { flags: "--csv-img-key <name>", help: "column of the pictures", set: text("data.imageColumn") },
  { flags: "--csv-caption-key <name>", help: "column of the captions", set: text("data.captionColumn") },
  { flags: "--csv-separator <char>", help: "separator between columns", set: text("data.separator") },
  { flags: "--caption <which>", help: "captions to use: web, precise or both", set: text("data.captions") },
  { flags: "--workers <n>", help: "threads that prepare batches", set: one("data.workers") },
  { flags: "--truncated <what>", help: "pictures that are cut off: accept or refuse", set: text("data.truncated") },
  {
    flags: "--max-bad-samples <n>",
    help: "unusable samples before the run gives up: a number, or a share such as 1% (the default), at least 100",
    set: (value) => ({ "data.maxBadSamples": shareOf(String(value)) }),
  },
  // Model
  {
    flags: "--model <name>",
    help: "variant or captioner to train (default: that of --pretrained)",
    set: text("model"),
  },
  {
    flags: "--pretrained <path>",
    help: "weights to begin with: a file of weights, a run's folder, a released model",
    set: text("start"),
  },
  {
    flags: "--grad-checkpointing",
    help: "save memory: compute activations again in the backward pass",
    set: one("activationCheckpointing"),
  },
  { flags: "--use-bn-sync", help: "batch norm over all ranks", set: one("syncBatchNorm") },
  {
    flags: "--lock-image-freeze-bn-stats",
    help: "leave batch norm's statistics in the image tower as they are",
    set: () => ({ frozenStatistics: ["image"] }),
  },
  // Loss
  {
    flags: "--distill-loss-weights <w...>",
    help: "weights of the contrastive and the distillation term (default: 0 1)",
    set: (value) => ({ "loss.kind": "distill", ...list("loss.weights")(value) }),
  },
  { flags: "--distill-logit-scale <s...>", help: "scale of each teacher", set: list("loss.teacherScales") },
  {
    flags: "--distill-logit-bias <b...>",
    help: "bias of each teacher, for SigLIP's loss",
    set: list("loss.teacherBiases"),
  },
  {
    flags: "--distill-average-after-softmax",
    help: "average the teachers' probabilities (the default)",
    set: one("loss.averageAfterSoftmax"),
  },
  {
    flags: "--distill-teacher-dimension <n...>",
    help: "width of each teacher's embeddings; -1: found in them",
    set: (value) => ({
      "data.teacherWidths": isFound(value) ? [] : list("data.teacherWidths")(value)["data.teacherWidths"],
    }),
  },
  {
    flags: "--distill-model <path...>",
    help: "teachers that run beside the student; the loss is distillation alone where no weights are given",
    set: teachers,
  },
  {
    flags: "--distill-pretrained <path...>",
    help: "the teachers' weights, where --distill-model names architectures",
    set: teachers,
  },
  // After the flags of distillation, because SigLIP's loss can be combined with them.
  { flags: "--siglip", help: "SigLIP's loss", set: () => ({ "loss.kind": "siglip" }) },
  {
    flags: "--coca-caption-loss-weight <w>",
    help: "weight of a captioner's captions",
    set: (value) => ({ "loss.kind": "coca", ...one("loss.captionWeight")(value) }),
  },
  {
    flags: "--coca-contrastive-loss-weight <w>",
    help: "weight of a captioner's pairs",
    set: (value) => ({ "loss.kind": "coca", ...one("loss.contrastiveWeight")(value) }),
  },
  // Always on here
  { flags: "--local-loss", help: "always on", set: () => ({}) },
  { flags: "--gather-with-grad", help: "always on", set: () => ({}) },
  // Length and rate
  { flags: "--steps <n>", help: "batches to train on", set: one("schedule.steps") },
  { flags: "--samples <n>", help: "pairs to train on, repeats counted", set: one("schedule.samples") },
  { flags: "--epochs <n>", help: "passes over the data", set: one("schedule.epochs") },
  { flags: "--warmup <steps>", help: "steps in which the rate rises to its full value", set: one("schedule.warmup") },
  { flags: "--lr <rate>", help: "largest learning rate", set: one("schedule.learningRate") },
  { flags: "--min-lr <rate>", help: "where the cosine ends", set: one("schedule.minLearningRate") },
  // Optimiser
  { flags: "--wd <decay>", help: "weight decay", set: one("optimizer.weightDecay") },
  { flags: "--beta1 <x>", help: "beta1 of AdamW", set: one("optimizer.beta1") },
  { flags: "--beta2 <x>", help: "beta2 of AdamW", set: one("optimizer.beta2") },
  { flags: "--eps <x>", help: "epsilon of AdamW", set: one("optimizer.eps") },
  { flags: "--grad-clip-norm <x>", help: "largest joint norm of gradients", set: one("optimizer.gradClipNorm") },
  {
    flags: "--layer-decay <x>",
    help: "factor on the rate from each layer to the one below",
    set: one("optimizer.layerDecay"),
  },
  {
    flags: "--precision <type>",
    help: "fp32, amp_bf16 or amp_fp16 (amp)",
    set: (value) => ({ precision: recipePrecisionAliases[String(value)] ?? value }),
  },
  {
    flags: "--ema <decay>",
    help: "decay of the weights' moving average, which is what is saved",
    set: one("ema.decay"),
  },
  {
    flags: "--ema-warmup",
    help: "the decay of step t is (1 + t) / (10 + t) at most: short runs forget their first weights",
    set: one("ema.warmup"),
  },
  {
    flags: "--range-augment <psnr...>",
    help: "learned brightness, contrast and noise, for long runs: similarity in decibels at the first and the last step, such as 40 20",
    set: list("rangeAugment"),
  },
  { flags: "--seed <n>", help: "seed of initialisation and data", set: one("seed") },
  // Along the way
  { flags: "--save-every <steps>", help: "steps between two checkpoints", set: one("save.every") },
  { flags: "--keep <n>", help: "checkpoints that are kept", set: one("save.keep") },
  {
    flags: "--evaluate <tasks>",
    help: "zero-shot along the way: a task list, or tasks in the benchmark's layout",
    set: text("evaluate.tasks"),
  },
  { flags: "--evaluate-every <steps>", help: "steps between two evaluations", set: one("evaluate.every") },
] as const satisfies readonly RecipeFlag[]

/** Flags whose meaning depends on each other, or on the number of ranks. */
export const jointFlags = [
  { flags: "--batch-size <n>", help: "pairs of a step on each rank" },
  { flags: "--global-batch-size <n>", help: "pairs of a step over all ranks" },
  { flags: "--chunk-size <n>", help: "pairs a rank encodes at once; the loss compares all of the batch" },
  { flags: "--accum-freq <n>", help: "as open_clip: a step has n times --batch-size pairs" },
  { flags: "--lock-image", help: "the image tower does not learn" },
  { flags: "--lock-text", help: "the text tower does not learn" },
] as const

export interface JointOptions {
  readonly batchSize?: string
  readonly globalBatchSize?: string
  readonly chunkSize?: string
  readonly accumFreq?: string
  readonly lockImage?: true
  readonly lockText?: true
}

/** From "--train-data <path>": `--train-data`, and commander's name for its value, `trainData`. */
export function flagNames(flags: string): { readonly flag: string; readonly option: string } {
  const flag = flags.split(" ")[0]!
  return { flag, option: flag.slice(2).replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase()) }
}

/** The changes that the given flags make, in the order of the table. */
export function flagOverrides(options: Readonly<Record<string, unknown>>): Override[] {
  return recipeFlags.flatMap(({ flags, set }) => {
    const { flag, option } = flagNames(flags)
    const value = options[option] as FlagValue | undefined
    if (value === undefined) return []
    return Object.entries(set(value)).map(([key, value]) => ({ key, value, source: flag }))
  })
}

/** Throws UserError where a batch size is given twice, or is not a whole number. */
export function jointOverrides(options: JointOptions, ranks: number): Override[] {
  return [...batchOverrides(options, ranks), ...lockOverrides(options)]
}

function batchOverrides({ batchSize, globalBatchSize, chunkSize, accumFreq }: JointOptions, ranks: number): Override[] {
  if (batchSize !== undefined && globalBatchSize !== undefined) {
    throw new UserError("--batch-size is per rank, --global-batch-size over all: give one of them")
  }
  if (accumFreq !== undefined && (batchSize === undefined || chunkSize !== undefined)) {
    throw new UserError("--accum-freq multiplies --batch-size: give that, and no --chunk-size")
  }
  const perRank = batchSize === undefined ? null : positiveInteger(batchSize, "--batch-size")
  const times = accumFreq === undefined ? 1 : positiveInteger(accumFreq, "--accum-freq")
  const size = perRank === null ? globalBatchSize && parseValue(globalBatchSize) : perRank * times * ranks
  const chunk = times > 1 ? perRank : chunkSize && parseValue(chunkSize)
  const source = perRank === null ? "--global-batch-size" : "--batch-size"
  return [
    ...(size === undefined ? [] : [{ key: "batch.size", value: size, source }]),
    ...(chunk === undefined
      ? []
      : [{ key: "batch.chunk", value: chunk, source: chunkSize ? "--chunk-size" : "--accum-freq" }]),
  ]
}

function lockOverrides({ lockImage, lockText }: JointOptions): Override[] {
  const towers = [...(lockImage ? ["image"] : []), ...(lockText ? ["text"] : [])]
  const source = lockImage ? "--lock-image" : "--lock-text"
  return towers.length > 0 ? [{ key: "lock", value: towers, source }] : []
}

function positiveInteger(value: string, flag: string): number {
  if (/^[1-9]\d*$/.test(value)) return Number(value)
  throw new UserError(`${flag} should be a whole number from 1 on, not ${value}`)
}
