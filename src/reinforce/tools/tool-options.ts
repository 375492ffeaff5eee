/** What may be asked of the tools, and what they do unless told otherwise. The commands read both from here. */
import type { Interpolation } from "../../core/image/resize.ts"
import type { StartProgress } from "../../core/progress.ts"
import type { SampleFormat } from "../../data/reinforced/encode.ts"
import type { JoinJob } from "../job/job.ts"
import type { EmbeddingRequest } from "../job/stage-jobs.ts"
import type { ResourceRequest } from "../local/resources.ts"
import type { BringOptions } from "../stages/open-stage.ts"

export interface StatsOptions {
  /** Samples, chosen at random, on which teachers are compared. */
  readonly samples?: number
  /** Decides which samples are chosen. */
  readonly seed?: number
  /** After the keys of the embeddings that are compared. */
  readonly tagSuffix?: string
  /** Values of each teacher in a row, in order. Default: found in the vectors. */
  readonly teacherWidths?: readonly number[]
  /** A picture of chosen samples: the original with its crops, the views made again, the captions. */
  readonly contactSheet?: ContactSheetOptions
  /** Processes that read shards. Default: one for each processor. */
  readonly workers?: number
  readonly signal?: AbortSignal
  readonly startProgress?: StartProgress
}

export const statsDefaults = { samples: 256, seed: 0, tagSuffix: "" } as const satisfies StatsOptions

export interface ContactSheetOptions {
  /** Path of the PNG to write. */
  readonly file: string
  /** Samples on it. */
  readonly rows?: number
  /** Views of each. */
  readonly views?: number
  /** Side of a view, in pixels. */
  readonly size?: number
}

export const contactSheetDefaults = { rows: 8, views: 5, size: 160 } as const satisfies Partial<ContactSheetOptions>

export interface VerifyOptions extends ResourceRequest, BringOptions {
  /** Processes that read shards; samples are made again in this one. Default: one for each processor. */
  readonly workers?: number
  /** Samples, chosen at random, that are made again; with 0 no model is opened. */
  readonly samples?: number
  /** Decides which samples are chosen. */
  readonly seed?: number
  /** Least cosine of an embedding with the one made again, -1 to 1. */
  readonly threshold?: number
  /** Values of each teacher in a row, in order. Default: found in the vectors. */
  readonly teacherWidths?: readonly number[]
  /** What made the embeddings. Default: the job in the folder's `config.json`; where there is none, nothing is made again. */
  readonly teachers?: Omit<EmbeddingRequest, "numSamples" | "synTextKeyRegex">
  readonly startProgress?: StartProgress
}

export const verifyDefaults = { samples: 32, seed: 0, threshold: 0.999 } as const satisfies VerifyOptions

export interface JoinShardsOptions {
  /** Shards with pictures and captions, and those that are looked up; as `expandShards` takes them. */
  readonly images: string | readonly string[]
  readonly reinforcements: string | readonly string[]
  /** A folder or the URL of one. What is there already of the same join is kept. */
  readonly output: string
  /** Field of the images' json that is the reinforcements' key. Default: the image's own key. */
  readonly keyField?: string
  /** `key`: a reinforcement is found by its key, in any shard; `name`: shards of one name hold the same samples. */
  readonly match?: JoinJob["match"]
  /** How joined shards are written. Default: WebDataset, with embeddings copied as they are. */
  readonly format?: SampleFormat
  /** Keeps pictures that are not the ones that were reinforced. */
  readonly allowChanged?: boolean
  /** Images that may be left out before the join stops. */
  readonly maxFailures?: number
  /** Bytes of the index of keys in memory, 24 for each key; more goes to a temporary file. */
  readonly maxIndexBytes?: number
  readonly signal?: AbortSignal
  readonly startProgress?: StartProgress
}

export const joinDefaults = {
  ...{ match: "key", allowChanged: false, maxFailures: Number.POSITIVE_INFINITY, maxIndexBytes: 2 ** 30 },
} as const satisfies Partial<JoinShardsOptions>

export interface ReplayOptions {
  /** A local folder for the files: `KEY.jpg` (the original), `KEY.view0.png`, ... */
  readonly output: string
  /** Side of the views, in pixels. */
  readonly size?: number
  /** How a crop is brought to its size. */
  readonly interpolation?: Interpolation
  /** Keys of the samples. Default: the first ones. */
  readonly keys?: readonly string[]
  /** Samples at most. */
  readonly limit?: number
  readonly signal?: AbortSignal
}

export const replayDefaults = {
  ...{ size: 224, interpolation: "bicubic", limit: 100 },
} as const satisfies Partial<ReplayOptions>
