/**
 * The scenes dataset on disk: `train/00000.tar`, ..., `test/`, `retrieval/` and `info.json`, which is written last.
 * Samples are `jpg`, `txt` (the web caption, which is what a dataset from the web has) and `json` (a `SceneRecord`).
 */
import { existsSync } from "node:fs"
import { readdir } from "node:fs/promises"
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { UserError } from "../../core/errors.ts"
import { mapOrdered } from "../../core/parallel.ts"
import { makeDirectory, readJson, writeAtomically } from "../../host/files/files.ts"
import { lockFolder } from "../../host/locks/lock.ts"
import { metadataOf, readShard, type Sample, writeShard } from "../shards.ts"
import { captionsOf } from "./captions.ts"
import { MAX_RETRIEVAL, SPLITS, type Split } from "./plan.ts"
import { describeTasks, heldOutNames, SCENES_VERSION, type SceneRecord, type ScenesInfo, sceneOf } from "./record.ts"
import { inSingleThreads, renderScene } from "./render.ts"
import { sampleScene } from "./scene.ts"

export interface ScenesOptions {
  /** The folder. It is created; shards that an earlier run with the same options completed are kept. */
  readonly out: string
  readonly seed?: number
  /** Pictures per split, each at least 1; retrieval has at most MAX_RETRIEVAL. */
  readonly counts?: Readonly<Record<Split, number>>
  /** 1 to 10,000 (names of samples have four digits for it). */
  readonly samplesPerShard?: number
  /** Called after each picture with how many there are, kept ones included, and how many there will be. */
  readonly onProgress?: (done: number, total: number) => void
  readonly signal?: AbortSignal
}

export const scenesDefaults = {
  ...{ seed: 0, counts: { train: 10_000, test: 1500, retrieval: 500 }, samplesPerShard: 1000 },
} as const satisfies Partial<ScenesOptions>

type ResolvedOptions = ScenesOptions & Required<Pick<ScenesOptions, keyof typeof scenesDefaults>>

/**
 * Renders the dataset. Each picture depends on (seed, split, index) only. Throws a UserError on counts out of range and
 * when the folder holds other shards than this run would write; an abort leaves the shards completed so far.
 */
export async function renderScenes(given: ScenesOptions): Promise<ScenesInfo> {
  const options: ResolvedOptions = { ...scenesDefaults, ...given }
  const { out, counts } = options
  checkCounts(options)
  using _ = await lockFolder(out, "mobileclip render", options.signal)
  await requireOwnInfo(join(out, "info.json"))
  const total = SPLITS.reduce((sum, split) => sum + counts[split], 0)
  let done = 0
  const advance = (pictures: number) => {
    done += pictures
    options.onProgress?.(done, total)
  }
  await inSingleThreads(async () => {
    for (const split of SPLITS) await renderSplit(split, options, advance)
  })
  const info = infoOf(options)
  await writeAtomically(join(out, "info.json"), [`${JSON.stringify(info, null, 2)}\n`])
  return info
}

/** One shard: pictures `start` to `end` (exclusive) of a split. */
interface Shard {
  readonly split: Split
  readonly number: number
  readonly start: number
  readonly end: number
}

function shardsOf(split: Split, { counts, samplesPerShard }: ResolvedOptions): Shard[] {
  return Array.from({ length: Math.ceil(counts[split] / samplesPerShard) }, (_, number) => {
    const start = number * samplesPerShard
    return { split, number, start, end: Math.min(start + samplesPerShard, counts[split]) }
  })
}

function shardName({ number }: Shard): string {
  return `${String(number).padStart(5, "0")}.tar`
}

/** Names samples by shard and index in it, as img2dataset does: 000120034 is sample 34 of shard 12. */
function keyOf(shard: Shard, index: number): string {
  return String(shard.number).padStart(5, "0") + String(index - shard.start).padStart(4, "0")
}

async function renderSplit(split: Split, options: ResolvedOptions, advance: (pictures: number) => void): Promise<void> {
  const folder = join(options.out, split)
  const shards = shardsOf(split, options)
  await makeDirectory(folder)
  const present = (await readdir(folder)).filter((name) => name.endsWith(".tar") && !name.startsWith("."))
  const foreign = present.find((name) => !shards.some((shard) => shardName(shard) === name))
  if (foreign) throw otherDataset(join(folder, foreign))
  for (const shard of shards) {
    const path = join(folder, shardName(shard))
    if (present.includes(shardName(shard))) {
      await checkShard(path, shard, options.seed)
      advance(shard.end - shard.start)
    } else {
      await writeShard(path, renderShard(shard, options, advance))
    }
  }
}

async function* renderShard(
  shard: Shard,
  { seed, signal }: ResolvedOptions,
  advance: (pictures: number) => void,
): AsyncGenerator<Sample> {
  const indices = Array.from({ length: shard.end - shard.start }, (_, i) => shard.start + i)
  const render = (index: number) => renderSample(keyOf(shard, index), seed, shard.split, index)
  for await (const sample of mapOrdered(indices, 2 * availableParallelism(), render)) {
    signal?.throwIfAborted()
    yield sample
    advance(1)
  }
}

/** Picture `index` of `split` as a sample. */
export async function renderSample(key: string, seed: number, split: Split, index: number): Promise<Sample> {
  const scene = sampleScene(seed, split, index)
  const { caption, webCaption } = captionsOf(scene)
  const record: SceneRecord = {
    dataset: "scenes",
    version: SCENES_VERSION,
    seed,
    caption,
    web_caption: webCaption,
    ...scene,
  }
  const encoder = new TextEncoder()
  return {
    key,
    members: new Map([
      ["jpg", await renderScene(scene)],
      ["txt", encoder.encode(webCaption)],
      ["json", encoder.encode(JSON.stringify(record))],
    ]),
  }
}

/** An existing shard must be the one that would be rendered: seed, split, and every sample. */
async function checkShard(path: string, shard: Shard, seed: number): Promise<void> {
  let index = shard.start
  for await (const sample of readShard(path)) {
    const name = `${path}: ${sample.key}`
    const scene = sceneOf(metadataOf(sample, name), name)
    if (sample.key !== keyOf(shard, index) || scene.seed !== seed || scene.split !== shard.split)
      throw otherDataset(path)
    index++
  }
  if (index !== shard.end) throw otherDataset(path)
}

/** Other data sets have a file of this name too. */
async function requireOwnInfo(path: string): Promise<void> {
  if (!existsSync(path)) return
  const info = (await readJson(path, "the list of a data set")) as Partial<ScenesInfo> | null
  if (info?.dataset === "scenes") return
  throw new UserError(`${path} is of another data set and is not replaced`, "choose another folder")
}

function otherDataset(path: string): UserError {
  return new UserError(
    `${path}: from a run with other options (seed, counts or shard size)`,
    "remove it, or choose another folder",
  )
}

function checkCounts({ counts, samplesPerShard }: ResolvedOptions): void {
  checkRange("samplesPerShard", samplesPerShard, 10_000)
  for (const split of SPLITS) checkRange(`the count of ${split} pictures`, counts[split], limits[split])
}

const limits: Readonly<Record<Split, number>> = { train: 1e8, test: 1e8, retrieval: MAX_RETRIEVAL }

function checkRange(what: string, value: number, max: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= max) return
  throw new UserError(`${what} is ${value}, expected a whole number from 1 to ${max.toLocaleString("en")}`)
}

function infoOf(options: ResolvedOptions): ScenesInfo {
  const split = (name: Split) => ({ samples: options.counts[name], shards: shardsOf(name, options).map(shardName) })
  return {
    dataset: "scenes",
    version: SCENES_VERSION,
    seed: options.seed,
    samplesPerShard: options.samplesPerShard,
    splits: { train: split("train"), test: split("test"), retrieval: split("retrieval") },
    tasks: describeTasks(),
    heldOut: heldOutNames(),
  }
}
