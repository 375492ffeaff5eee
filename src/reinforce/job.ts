/**
 * What is to be done to every shard, as JSON: it is saved beside the output, sent to workers, and decides whether work
 * that was stopped may go on.
 */
import { UserError } from "../core/errors.ts"
import type { AugmentationConfig } from "../data/augment/config.ts"
import type { SampleFormat } from "../data/reinforced/encode.ts"
import type { GenerateOptions } from "../run/caption/options.ts"
import type { JoinJob } from "./tools/join/job.ts"

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
  /** Of the weights; null: as they are. It is part of what comes out. */
  readonly dtype: "fp32" | "fp16" | "bf16" | null
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

/** Whatever writes shards to a folder, and can go on there. */
export type AnyJob = Job | JoinJob

/** Throws UserError that names the first setting in which `now` is not the job that `folder` was begun with. */
export function requireSameJob(before: unknown, now: AnyJob, folder: string): void {
  const difference = firstDifference(before, JSON.parse(JSON.stringify(now)), "")
  if (difference === null) return
  const { path, values } = difference
  throw new UserError(
    `${folder} was begun with ${path} ${JSON.stringify(values[0])}, and now it is ${JSON.stringify(values[1])}`,
    "use the same settings to go on, or another --output",
  )
}

interface Difference {
  readonly path: string
  readonly values: readonly [unknown, unknown]
}

function firstDifference(before: unknown, now: unknown, path: string): Difference | null {
  if (!isObject(before) || !isObject(now)) return before === now ? null : { path, values: [before, now] }
  for (const key of new Set([...Object.keys(before), ...Object.keys(now)])) {
    const found = firstDifference(before[key], now[key], path === "" ? key : `${path}.${key}`)
    if (found) return found
  }
  return null
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null
}

/** Throws UserError where shards of the output were made by other models than those at work now. */
export function requireSameModels(results: Iterable<{ readonly models: string }>, now: string, folder: string): void {
  for (const { models } of results) {
    if (models === now) continue
    throw new UserError(
      `${folder} has shards made by ${models}, and now the models are ${now}`,
      "use the same weights to go on, or another --output",
    )
  }
}
