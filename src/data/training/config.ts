/** The source and the settings of training data, as users give them; checked once, when the data are opened. */
import { UserError } from "../../core/errors.ts"
import type { Preprocessing } from "../../core/image/preprocess.ts"
import type { StartProgress } from "../../core/progress.ts"
import type { Tokenizer } from "../../core/text/tokenizer.ts"
import type { Truncated } from "../../host/image/picture-format.ts"

const sourceFormats = ["shards", "reinforced", "folder", "csv", "jsonl"] as const

/** `reinforced`: shards whose stored views, embeddings and synthetic captions are used. */
export type SourceFormat = (typeof sourceFormats)[number]

/**
 * `stored`: one of the sample's stored views, made again, and nothing else. `crop`: RandomResizedCrop.
 * `center`: resized and cropped in the middle.
 */
export type ViewKind = "stored" | "crop" | "center"

/** `web`: the captions that came with the picture. `precise`: `caption` of the json member. `both`: either, evenly. */
export type CaptionChoice = "web" | "precise" | "both"

export interface TrainingDataConfig {
  /** A list of shards (`expandShards`), a folder of pictures, a CSV or TSV file, or a JSONL file. */
  readonly source: string
  /** Default: found by the source. */
  readonly format?: SourceFormat | "auto"
  /** Whether teachers' embeddings and synthetic captions are used. Default: at the format `reinforced`. */
  readonly reinforced?: boolean
  /** False: only the synthetic captions of reinforced data are used, and no embeddings. */
  readonly embeddings?: boolean
  /** Which keys of synthetic captions are used, a regular expression. Default: `^syn_text.*$`. */
  readonly syntheticPattern?: string
  /**
   * A synthetic caption takes the place of the real one with this probability, and there is one term; at 1, real ones need not
   * be there. Default: two terms; 1 where reinforced data have no real captions.
   */
  readonly mixSynthetic?: number
  /** The width of each teacher, in the order of a row. Default: found because their vectors have unit length. */
  readonly teacherWidths?: readonly number[]
  /** Shards are drawn with replacement. Default: every sample comes once per epoch. */
  readonly resampled?: boolean
  /** Pairs of a step over all ranks. */
  readonly batchSize: number
  readonly rank: number
  readonly ranks: number
  readonly seed: number
  readonly preprocessing: Preprocessing
  /** Threads make their own: all have the same vocabulary. */
  readonly tokenizer: Tokenizer
  readonly contextLength: number
  readonly view: ViewKind
  /** Share of the picture's area that a random crop shows. Default: 0.9 to 1. */
  readonly cropScale?: readonly [number, number]
  /** Default: `web`. */
  readonly captionKey?: CaptionChoice
  /** Captions of pictures in class folders; `{}` is the folder's name. */
  readonly templates?: readonly string[]
  /** Columns of CSV, names of JSONL. Default: filepath and title of CSV, the usual names in JSONL. */
  readonly imageColumn?: string
  readonly captionColumn?: string
  /** The separator of CSV. Default: found in its first line. */
  readonly separator?: string
  /** What happens to a JPEG or PNG that is cut off. Default: the part that is there is used, and the picture is counted. */
  readonly truncated?: Truncated
  /** Samples whose pictures are narrower or lower than this, in pixels, are replaced by others. Default: none. */
  readonly minImageSize?: number
  /** Threads that decode; 0: the caller's thread decodes. */
  readonly workers: number
  /** Batches made ahead. */
  readonly prefetch: number
  /** Samples are kept decoded if all are estimated to fit into so many bytes. Default: 1 GiB. */
  readonly memoryBytes?: number
  /**
   * How many unusable samples are replaced by others, over all ranks; one more stops the run. Below 1: a share of the samples
   * of an epoch, or of the draws, but at least 100.
   */
  readonly maxBadSamples: number
  /** The option with which a user allows more, for the message; absent where there is no such option. */
  readonly toAllowMore?: string
  /** Where copies of remote shards are kept. Default: the system's folder for temporary files. */
  readonly temporaryFolder?: string
  /** Is shown shards that are indexed, or a list that is read, before the first batch, where that takes some seconds. */
  readonly startProgress?: StartProgress
  /** Stops the opening of shards and lists, before the first batch. */
  readonly signal?: AbortSignal
}

export const defaultCropScale = [0.9, 1] as const
export const defaultSyntheticPattern = "^syn_text.*$"
export const defaultMemoryBytes = 2 ** 30

/** Throws UserError naming the first setting that is not possible. */
export function checkTrainingDataConfig(config: TrainingDataConfig): void {
  checkCounts(config)
  const { mixSynthetic = 0, cropScale: [least, most] = defaultCropScale, format = "auto" } = config
  if (!(mixSynthetic >= 0 && mixSynthetic <= 1)) throw refused("mixSynthetic", mixSynthetic, "a probability")
  if (!(least > 0 && least <= most && most <= 1))
    throw refused("cropScale", `${least}, ${most}`, "0 < least <= most <= 1")
  if (format !== "auto" && !sourceFormats.includes(format)) {
    throw refused("format", format, [...sourceFormats, "auto"].join(", "))
  }
  checkPattern(config.syntheticPattern ?? defaultSyntheticPattern)
}

function checkCounts(config: TrainingDataConfig): void {
  const { batchSize, rank, ranks } = config
  const atLeast = {
    batchSize: 1,
    ranks: 1,
    rank: 0,
    workers: 0,
    prefetch: 0,
    contextLength: 2,
    minImageSize: 1,
  } as const
  for (const [name, least] of Object.entries(atLeast)) {
    const value = config[name as keyof typeof atLeast] ?? least
    if (!Number.isSafeInteger(value) || value < least) throw refused(name, value, `a whole number from ${least} on`)
  }
  if (!isLimit(config.maxBadSamples)) throw refused("maxBadSamples", config.maxBadSamples, "a share or a whole number")
  if (rank >= ranks) throw refused("rank", rank, `below the number of ranks, ${ranks}`)
  if (batchSize % ranks === 0) return
  const nearest = Math.max(Math.round(batchSize / ranks), 1) * ranks
  throw new UserError(`a batch of ${batchSize} cannot be shared by ${ranks} ranks`, `choose ${nearest}`)
}

function isLimit(limit: number): boolean {
  return limit >= 0 && (limit < 1 || Number.isSafeInteger(limit))
}

function checkPattern(pattern: string): void {
  try {
    new RegExp(pattern)
  } catch (error) {
    throw new UserError(`syntheticPattern "${pattern}" is not a regular expression`, undefined, { cause: error })
  }
}

function refused(name: string, value: unknown, expected: string): UserError {
  return new UserError(`${name} is ${String(value)}, and ${expected} was expected`)
}
