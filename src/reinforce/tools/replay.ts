/** Stored views as image files: what a student sees in training, made again from parameters. */

import { join } from "node:path"
import sharp from "sharp"
import { isInputError, messageOf, UserError } from "../../core/errors.ts"
import type { Image8 } from "../../core/image/pixels.ts"
import { applyAugmentation } from "../../data/augment/apply.ts"
import type { Problem, ReinforcedSample } from "../../data/reinforced/sample.ts"
import { openStorage } from "../../data/stores/open.ts"
import type { Storage } from "../../data/stores/storage.ts"
import { makeDirectory, writeAtomically } from "../../host/files/files.ts"
import { decodePicture } from "../stages/picture.ts"
import type { Report } from "../stages/stage.ts"
import { findShards, type ShardSet, samplesOf } from "./find-shards.ts"
import { type ReplayOptions, replayDefaults } from "./tool-options.ts"

export interface ReplayResult {
  readonly samples: number
  readonly views: number
  readonly problems: readonly Problem[]
}

type Replay = Omit<ReplayOptions, "keys"> & Required<Pick<ReplayOptions, keyof typeof replayDefaults>>

/**
 * Writes the stored views of samples as PNG beside the original picture.
 *
 * @param shards the output folder of a job, or any shards as `expandShards` takes them
 * @throws UserError where there is no shard, or none has a key that was asked for; a sample without views is a problem
 */
export async function replayViews(shards: string | readonly string[], given: ReplayOptions): Promise<ReplayResult> {
  const { keys, ...options } = { ...replayDefaults, ...given }
  const storage = openStorage()
  const set = await findShards(storage, [shards].flat())
  await makeDirectory(options.output)
  const problems: Problem[] = []
  const wanted = keys ? new Set(keys) : null
  const counts = { samples: 0, views: 0 }
  const names = new Set<string>()
  for await (const sample of wantedSamples(storage, set, wanted, options.signal, (problem) => problems.push(problem))) {
    try {
      counts.views += await writeViews(sample, join(options.output, unusedName(sample.key, names)), options)
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
  signal: AbortSignal | undefined,
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
async function writeViews(sample: ReinforcedSample, base: string, { size, interpolation }: Replay): Promise<number> {
  if (!sample.paramAug) throw new UserError("it has no param_aug: no views were stored")
  const image = await decodePicture(sample, { minImageSize: 1 })
  await writeAtomically(`${base}.${sample.image!.extension}`, [sample.image!.bytes])
  for (const [i, augmentation] of sample.paramAug.entries()) {
    const view = applyAugmentation(image, augmentation, size, interpolation, "its picture")
    await writeAtomically(`${base}.view${i}.png`, [await png(view)])
  }
  return sample.paramAug.length
}

/** A number follows the name where another key has it already: `a/b` and `a_b`. */
function unusedName(key: string, taken: Set<string>): string {
  const name = fileName(key)
  let unused = name
  for (let i = 2; taken.has(unused); i++) unused = `${name}-${i}`
  taken.add(unused)
  return unused
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
