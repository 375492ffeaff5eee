/** The disk that a run takes, and the bytes of its data. */
import { stat } from "node:fs/promises"
import { expandShards } from "../../data/expand.ts"
import { pathOf } from "../../data/stores/local.ts"
import { isLocal } from "../../data/stores/open.ts"
import { detectFormat } from "../../data/training/sources/source.ts"
import { isReinforced } from "../recipe/resolved.ts"
import type { Recipe } from "../recipe/schema.ts"
import { FLOAT_BYTES } from "./activations.ts"
import type { Towers } from "./context.ts"

export interface DiskPlan {
  /** Bytes of a checkpoint to go on from. */
  readonly checkpoint: number
  /** All checkpoints that are kept, one that is being written, and the model at the end. */
  readonly total: number
}

export interface DataPlan {
  /** Bytes of all pairs; null: they are on this machine, and were not measured. */
  readonly bytes: number | null
  /** Whether they are files of this machine; else `bytes` is an estimate of what is to be downloaded. */
  readonly isHere: boolean
  /** Bytes of a pair, for an estimate. */
  readonly perPair?: number
}

export function diskOf({ image, text, decoder }: Towers, { ema, save }: Recipe): DiskPlan {
  const values = [image, text, decoder].reduce((sum, tower) => sum + (tower?.parameters.train ?? 0), 0)
  const model = values * FLOAT_BYTES
  // The weights and two moments, and the average.
  const checkpoint = model * (ema.decay === null ? 3 : 4)
  return { checkpoint, total: (save.keep + 1) * checkpoint + model }
}

/** A picture as datasets of this kind have it: 0.9 TB for 12.8 M (published). */
const PICTURE_BYTES = 70_000
/** What reinforcement adds, in bfloat16: 30 views for 12.8 M pairs, 10 for the large sets (docs/scale.md). */
const REINFORCED_BYTES = { few: 95_000, many: 45_500, fewPairs: 100e6 } as const

/** @param pairs in the data; null: not known, and nothing is said about them */
export function dataEstimate(recipe: Recipe, pairs: number | null): DataPlan | null {
  if (pairs === null) return null
  const { few, many, fewPairs } = REINFORCED_BYTES
  const perPair = PICTURE_BYTES + (isReinforced(recipe) ? (pairs > fewPairs ? many : few) : 0)
  return { bytes: pairs * perPair, isHere: false, perPair }
}

/** What is known of a recipe's data without reading any. */
export interface DataFacts {
  /** Absent where the data are not a list of shards. */
  readonly shards?: number
  /** Absent where not all shards are files of this machine. */
  readonly dataBytes?: number
  readonly isDataHere: boolean
}

export async function dataFacts({ data: { train, format } }: Recipe): Promise<DataFacts> {
  if (train === null) return { isDataHere: false }
  if (!(await isShards(train, format))) return { isDataHere: await isHere(train) }
  const shards = await expandShards(train)
  const sizes = await Promise.all(shards.map(sizeOf))
  if (sizes.some((size) => size === null)) return { shards: shards.length, isDataHere: false }
  return { shards: shards.length, dataBytes: sizes.reduce<number>((sum, size) => sum + size!, 0), isDataHere: true }
}

/** A plan may be of data that are not here yet: then their name tells. */
async function isShards(train: string, format: Recipe["data"]["format"]): Promise<boolean> {
  if (format !== "auto") return format === "shards" || format === "reinforced"
  if (!/::|[{]/.test(train) && (await isHere(train))) return (await detectFormat(train)) === "shards"
  return /\.tar|\.jsonl|[{]/.test(train)
}

/** Whether a file or folder of this name is on this machine. */
async function isHere(train: string): Promise<boolean> {
  return isLocal(train) && (await stat(pathOf(train)).catch(() => null)) !== null
}

async function sizeOf(shard: string): Promise<number | null> {
  return isLocal(shard) ? ((await stat(pathOf(shard)).catch(() => null))?.size ?? null) : null
}
