/** `mobileclip train --dry-run`: the plan of a run, as data and as text. */
import { devices } from "../../../torch/index.ts"
import { precisionOf } from "../../core/precision.ts"
import { expandShards } from "../../data/expand.ts"
import { matmulRate } from "../../train/recipe/calibrate.ts"
import { type Plan, type PlanFacts, planOf } from "../../train/recipe/plan.ts"
import type { Recipe } from "../../train/recipe/schema.ts"
import type { Launch } from "./arguments.ts"
import { planText } from "./plan-text.ts"

export interface DryRun {
  readonly plan: Plan
  text(): string
}

/** @param samples pairs in the data, where they were counted; `data.samples` goes before it */
export async function dryRun(recipe: Recipe, launch: Launch, samples: number | null): Promise<DryRun> {
  const shards = await countShards(recipe)
  const facts: PlanFacts = {
    samples,
    ranks: launch.ranks,
    ...(shards === null ? {} : { shards }),
    ...(launch.samplesPerSecond === null ? rateOf(recipe, launch) : { samplesPerSecond: launch.samplesPerSecond }),
  }
  const plan = planOf(recipe, facts)
  return { plan, text: () => planText(plan, recipe) }
}

/** Nothing where the device is another machine's. */
function rateOf({ precision }: Recipe, { device, threads }: Launch): Pick<PlanFacts, "matmulRate"> {
  return devices().includes(device)
    ? { matmulRate: matmulRate({ device, threads, precision: precisionOf(precision) }) }
    : {}
}

/** Null for what is no list of shards. */
async function countShards({ data }: Recipe): Promise<number | null> {
  if (data.train === null || !["auto", "shards", "reinforced"].includes(data.format)) return null
  if (data.format === "auto" && !/\.tar|\.jsonl|[{]/.test(data.train)) return null
  return (await expandShards(data.train)).length
}
