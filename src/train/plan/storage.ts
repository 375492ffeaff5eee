/** The disk that a run takes, and the bytes of its data. */
import { stat } from "node:fs/promises"
import { expandShards } from "../../data/expand.ts"
import { isUrl } from "../../data/stores/open.ts"
import { isReinforced } from "../recipe/resolved.ts"
import type { Recipe } from "../recipe/schema.ts"
import type { Towers } from "./context.ts"
import { FLOAT_BYTES } from "./tower-cost.ts"

export interface DiskPlan {
  /** Bytes of a checkpoint to go on from. */
  readonly checkpoint: number
  /** All checkpoints that are kept, one that is being written, and the model at the end. */
  readonly total: number
}

export interface DataPlan {
  /** Bytes of all pairs. */
  readonly bytes: number
  /** Whether they are files of this machine that were measured; else it is an estimate of what is to be downloaded. */
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

/** The shards of a recipe, and their bytes where all of them are files of this machine; null where the data is not a list of shards. */
export async function shardsOf({
  data,
}: Recipe): Promise<{ readonly count: number; readonly bytes: number | null } | null> {
  if (data.train === null || !["auto", "shards", "reinforced"].includes(data.format)) return null
  if (data.format === "auto" && !/\.tar|\.jsonl|[{]/.test(data.train)) return null
  const shards = await expandShards(data.train)
  if (shards.some(isUrl)) return { count: shards.length, bytes: null }
  const sizes = await Promise.all(shards.map(async (path) => (await stat(path).catch(() => null))?.size ?? null))
  const isWhole = sizes.every((size) => size !== null)
  return { count: shards.length, bytes: isWhole ? sizes.reduce((sum, size) => sum + size!, 0) : null }
}
