/**
 * What is to be done to every shard, as JSON: it is saved beside the output, sent to workers, and decides whether work
 * that was stopped may go on.
 */
import type { ModelDtype } from "../../core/precision.ts"
import type { AugmentationConfig } from "../../data/augment/config.ts"
import type { SampleFormat } from "../../data/reinforced/encode.ts"
import type { GenerateOptions } from "../../run/caption/options.ts"

/** Writes `syn_text<suffix>`: captions of each image by each captioner. */
export interface CaptionJob extends Models {
  readonly kind: "caption"
  /** One for each captioner. */
  readonly suffixes: readonly string[]
  /** Captions of each image. */
  readonly perImage: number
  readonly generate: Partial<GenerateOptions>
  /** Keeps what follows the first full stop. */
  readonly whole: boolean
}

/** Writes `param_aug`, `image_emb<suffix>`, `text_emb<suffix>` and an embedding of each matching synthetic key. */
export interface EmbeddingJob extends Models {
  readonly kind: "embedding"
  /** Augmentations of each image. */
  readonly views: number
  readonly augmentation: Pick<AugmentationConfig, "randomResizedCrop" | "randAugment">
  /** What every teacher must be trained with; null: to each its own. */
  readonly normalize: AugmentationConfig["normalize"] | null
  /** Source of a regular expression that must match at the beginning of a key. */
  readonly synTextKeyRegex: string
  readonly suffix: string
}

/** Models as their user named them: names, and open_clip's tags, joined by commas; teachers in the order of their vectors. */
interface Models {
  readonly modelName: string
  readonly pretrained: string | null
  /** The weights' type; null: as they are. It is part of what comes out. */
  readonly dtype: ModelDtype | null
}

export interface Job {
  readonly stage: CaptionJob | EmbeddingJob
  readonly format: SampleFormat
  /** Captions and augmentations depend on it and on a sample's key, not on order or batch. */
  readonly seed: number
  /** Pictures with a shorter side are left out; in pixels. */
  readonly minImageSize: number
  /** Left out where pictures that end before their end are taken as far as they go. */
  readonly truncated?: "refuse"
}

/** As the stages write shards unless told otherwise. */
export const defaultFormat: SampleFormat = {
  output: "webdataset",
  embeddings: "npz",
  textEmbeddings: "separate",
  images: true,
}

export const defaultMinImageSize = 16

/** How a job on a server is worked off unless told otherwise. */
export const publishDefaults = {
  /** Tries of a shard before it is parked. */
  maxTries: 5,
  /** Seconds without progress after which a shard is abandoned. */
  stallSeconds: 600,
  /** Seconds for which a worker may be silent before its shards go to others. */
  ackWaitSeconds: 30,
} as const

/** The most that a job may ask for: what multiplies an image's memory is bounded wherever a job comes from. */
export const jobLimits = {
  ...{ views: 1000, perImage: 1000, models: 100 },
  ...{ seqLen: 1024, numBeams: 128, topK: 1_000_000 },
} as const

export interface JoinJob {
  readonly kind: "join"
  /** Shards of the reinforcements, as they were named. */
  readonly reinforcements: readonly string[]
  /** `key`: samples of any shard; `name`: shards of one name hold the same samples. */
  readonly match: "key" | "name"
  /** Field of the image side's json that has the key; null: its own key. */
  readonly keyField: string | null
  /** Null: WebDataset, with embeddings as they are. */
  readonly format: SampleFormat | null
  /** Keeps pictures that are not the ones that were reinforced. */
  readonly allowChanged: boolean
}

/** How samples are written; where embeddings are copied, it speaks of those that are not packed: lines of JSONL. */
export function writtenFormat({ format }: JoinJob): SampleFormat {
  return format ?? { output: "webdataset", embeddings: "npz", textEmbeddings: "separate", images: true }
}

/** Looks at shards: what is found in each is a file of the output. */
export interface CheckJob extends CheckSettings {
  readonly kind: "verify"
  /** URL of the job's output whose shards and records are looked at; null where shards were named. */
  readonly folder: string | null
  /** Changes with the shards: what was found in other ones is not taken for theirs. */
  readonly shards: string
}

export interface CheckSettings {
  /** What the models are now; null where none were opened. */
  readonly identity: string | null
  /** Values of each teacher in a row, in order; null where nobody knows. */
  readonly teacherWidths: readonly number[] | null
  /** Samples that are chosen, of all shards together, and what decides which. */
  readonly samples: number
  readonly seed: number
}

/** What workers of a server do. */
export type QueueJob = Job | CheckJob

/** Whatever writes a file for each shard to a folder, and can go on there. */
export type AnyJob = QueueJob | JoinJob
