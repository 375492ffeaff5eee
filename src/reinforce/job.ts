/**
 * What is to be done to every shard, as JSON: it is saved beside the output, sent to workers, and decides whether work
 * that was stopped may go on.
 */

import { UserError } from "../core/errors.ts"
import type { ModelDtype } from "../core/precision.ts"
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

/** The most that a job may ask for: what multiplies an image's memory is bounded wherever a job comes from. */
export const jobLimits = {
  ...{ views: 1000, perImage: 1000, models: 100 },
  ...{ seqLen: 1024, numBeams: 128, topK: 1_000_000 },
} as const

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

/** A shard, and what made it. */
export interface Made {
  readonly output: string
  /** Identity of the models. */
  readonly models: string
}

/** Shards that are named in a message. */
const namedShards = 4

/** Throws UserError, naming them, where shards of the output were made by other models than those of the job. */
export function requireSameModels(results: Iterable<Made>, now: string, folder: string): void {
  const others = [...results].filter(({ models }) => models !== now)
  const [first] = others
  if (!first) return
  const made = others.filter(({ models }) => models === first.models)
  throw new UserError(
    `${folder} has shards made by ${first.models} (${namesOf(made)}), and not by ${now}`,
    "use the same weights, or another --output",
  )
}

/** Throws UserError where shards of the output were made by different models. */
export function requireOneModel(results: Iterable<Made>, folder: string): void {
  const all = [...results]
  if (all[0]) requireSameModels(all, mostCommon(all.map(({ models }) => models)), folder)
}

function mostCommon(values: readonly string[]): string {
  const counts = new Map<string, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return [...counts].reduce((best, entry) => (entry[1] > best[1] ? entry : best))[0]
}

function namesOf(made: readonly Made[]): string {
  const outputs = [...new Set(made.map(({ output }) => output))]
  const names = outputs.slice(0, namedShards).map((output) => output.slice(output.lastIndexOf("/") + 1))
  return names.join(", ") + (outputs.length > namedShards ? `, and ${outputs.length - namedShards} more` : "")
}
