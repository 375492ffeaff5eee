/** Stored views as image files: what a student sees in training, made again from parameters. */

import { join } from "node:path"
import sharp from "sharp"
import { isInputError, messageOf, UserError } from "../../core/errors.ts"
import type { Image8 } from "../../core/image/pixels.ts"
import type { Interpolation } from "../../core/image/resize.ts"
import { applyAugmentation } from "../../data/augment/apply.ts"
import type { Problem, ReinforcedSample } from "../../data/reinforced/sample.ts"
import type { Storage } from "../../data/stores/storage.ts"
import { makeDirectory, writeAtomically } from "../../host/files/files.ts"
import { decodePicture } from "../stages/picture.ts"
import type { Report } from "../stages/stage.ts"
import { type ShardSet, samplesOf } from "./find-shards.ts"

export interface ReplayOptions {
  /** A local folder for the files: `KEY.jpg` (the original), `KEY.view0.png`, ... */
  readonly output: string
  /** Side of the views, in pixels. */
  readonly size: number
  readonly interpolation: Interpolation
  /** Of the samples; null: all of them. */
  readonly keys: readonly string[] | null
  /** Samples at most. */
  readonly limit: number
  readonly signal?: AbortSignal
}

export interface ReplayResult {
  readonly samples: number
  readonly views: number
  readonly problems: readonly Problem[]
}

/** Throws UserError where a key that was asked for is in no shard, or where no sample has views. */
export async function replayViews(storage: Storage, set: ShardSet, options: ReplayOptions): Promise<ReplayResult> {
  await makeDirectory(options.output)
  const problems: Problem[] = []
  const wanted = options.keys && new Set(options.keys)
  const counts = { samples: 0, views: 0 }
  for await (const sample of wantedSamples(storage, set, wanted, options, (problem) => problems.push(problem))) {
    try {
      counts.views += await writeViews(sample, options)
      counts.samples += 1
    } catch (error) {
      if (!isInputError(error)) throw error
      problems.push({ key: sample.key, reason: messageOf(error), action: "dropped" })
    }
    if (counts.samples >= options.limit) break
  }
  if (wanted && wanted.size > 0 && counts.samples < options.limit) {
    throw new UserError(`no shard has the key ${[...wanted].join(", ")}`)
  }
  return { ...counts, problems }
}

async function* wantedSamples(
  storage: Storage,
  { shards }: ShardSet,
  wanted: Set<string> | null,
  { signal }: ReplayOptions,
  report: Report,
): AsyncGenerator<ReinforcedSample> {
  for (const { url } of shards) {
    for await (const sample of samplesOf(storage, url, report, signal)) {
      if (!wanted || wanted.delete(sample.key)) yield sample
      if (wanted?.size === 0) return
    }
  }
}

/** The number of views. */
async function writeViews(sample: ReinforcedSample, { output, size, interpolation }: ReplayOptions): Promise<number> {
  if (!sample.paramAug) throw new UserError("it has no param_aug: no views were stored")
  const image = await decodePicture(sample, { minImageSize: 1 })
  const base = join(output, fileName(sample.key))
  await writeAtomically(`${base}.${sample.image!.extension}`, [sample.image!.bytes])
  for (const [i, augmentation] of sample.paramAug.entries()) {
    const view = applyAugmentation(image, augmentation, size, interpolation, "its picture")
    await writeAtomically(`${base}.view${i}.png`, [await png(view)])
  }
  return sample.paramAug.length
}

/** Keys may have folders in front, and come from anyone. */
function fileName(key: string): string {
  return key.replaceAll(/[^\p{L}\p{N}._-]+/gu, "_").replace(/^\.+/, "_")
}

function png({ width, height, data }: Image8): Promise<Buffer> {
  return sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer()
}
