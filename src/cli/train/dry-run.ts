/** `mobileclip train --dry-run`: the plan of a run, as data and as text. */
import { devices } from "../../../torch/index.ts"
import { precisionOf } from "../../core/precision.ts"
import { expandShards } from "../../data/expand.ts"
import { durationText, rateText } from "../../report/numbers.ts"
import { matmulRate } from "../../train/recipe/calibrate.ts"
import { type MemoryPart, type Plan, type PlanFacts, planOf, type TowerPlan } from "../../train/recipe/plan.ts"
import { distils, lossWeights } from "../../train/recipe/resolved.ts"
import type { Recipe } from "../../train/recipe/schema.ts"
import { mebibytes, millions, short } from "../models/units.ts"
import { textTable } from "../table.ts"
import type { Launch } from "./arguments.ts"

interface DryRun {
  readonly plan: Plan
  text(): string
}

/** @param samples pairs in the data, where they were counted; the recipe's `data.samples` takes precedence */
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

/** Empty where this machine does not have the device. */
function rateOf({ precision }: Recipe, { device, threads }: Launch): Pick<PlanFacts, "matmulRate"> {
  return devices().includes(device)
    ? { matmulRate: matmulRate({ device, threads, precision: precisionOf(precision) }) }
    : {}
}

/** Null where the data is not a list of shards. */
async function countShards({ data }: Recipe): Promise<number | null> {
  if (data.train === null || !["auto", "shards", "reinforced"].includes(data.format)) return null
  if (data.format === "auto" && !/\.tar|\.jsonl|[{]/.test(data.train)) return null
  return (await expandShards(data.train)).length
}

// --------------------------------------------------------------------------------------------------------- text

/** Sections of aligned columns, without a line break at the end. */
export function planText(plan: Plan, recipe: Recipe): string {
  return [towerTable(plan), runTable(plan, recipe), memoryTable(plan)].join("\n\n")
}

function towerTable({ model, image, text, decoder }: Plan): string {
  const row = (name: string, tower: TowerPlan) => [
    name,
    millions(tower.parameters.train),
    millions(tower.parameters.inference),
    (tower.multiplyAdds / 1e9).toFixed(2),
  ]
  const parts = [image, text, ...(decoder ? [decoder] : [])]
  const total = (["train", "inference"] as const).map((form) =>
    parts.reduce((sum, { parameters }) => sum + parameters[form], 0),
  )
  return textTable(
    [
      { title: model },
      { title: "trained, M", align: "right" },
      { title: "exported, M", align: "right" },
      { title: "forward, G", align: "right" },
    ],
    [
      row("image tower", image),
      row("text tower", text),
      ...(decoder ? [row("decoder", decoder)] : []),
      [decoder ? "all" : "both", ...total.map(millions), ""],
    ],
  )
}

function runTable(plan: Plan, recipe: Recipe): string {
  const { length, ranks, batch, multiplyAdds, shardsPerRank, time } = plan
  const split = ranks > 1 ? `, ${integer(batch.perRank)} on each of ${ranks} ranks` : ""
  const chunks = batch.chunk < batch.perRank ? `, ${integer(batch.chunk)} encoded at once` : ""
  const rows = [
    ["batch", `${integer(batch.size)} pairs${split}${chunks}`],
    ["steps", `${integer(length.steps)}, ${integer(length.warmupSteps)} of them warm-up`],
    ["pairs seen", `${integer(length.samples)}${length.epochs === null ? "" : ` (${epochsText(length.epochs)})`}`],
    ["loss", lossText(recipe)],
    ["precision", recipe.precision],
    ["multiply-adds", `${short(multiplyAdds.perSample)} a pair, ${operations(multiplyAdds.perStep)} a step`],
    ...(shardsPerRank === null ? [] : [["shards", `${Number(shardsPerRank.toFixed(1))} per rank`]]),
    ["time", timeText(time)],
  ]
  return textTable([{ title: "run" }, { title: "" }], rows)
}

function lossText(recipe: Recipe): string {
  const { kind, teacherScales, contrastiveWeight, captionWeight, sampledWords } = recipe.loss
  if (kind === "coca") {
    const words = sampledWords === null ? "" : `, ${integer(sampledWords)} sampled words`
    return `coca, weights ${contrastiveWeight} of pairs and ${captionWeight} of captions${words}`
  }
  if (!distils(recipe)) return kind
  return `${kind}, weights ${lossWeights(recipe).join(" ")}, teacher scales ${teacherScales.join(" ")}`
}

function timeText(time: Plan["time"]): string {
  if (!time) return "not known"
  const rate = `${rateText(time.samplesPerSecond)} pairs`
  const duration = time.seconds > 2 * 86_400 ? `${(time.seconds / 86_400).toFixed(1)} days` : durationText(time.seconds)
  if (time.kind === "measured") return `${duration} at ${rate}`
  return `${duration} at ${rate}, were all as fast as a large matrix product is now, and all texts of full length`
}

const memoryNames = {
  weights: "weights",
  gradients: "gradients",
  optimizer: "AdamW's moments",
  average: "moving average",
  lowPrecisionWeights: "weights, low precision",
  activations: "activations",
  features: "features of the batch",
  similarities: "similarities of the batch",
  batch: "pictures and tokens",
} as const satisfies Record<MemoryPart, string>

function memoryTable({ memory }: Plan): string {
  const parts = (Object.keys(memoryNames) as MemoryPart[]).filter((part) => memory[part] > 0)
  const rows = parts.map((part) => [memoryNames[part], mebibytes(memory[part])])
  const columns = [{ title: "memory of a rank, estimated" }, { title: "MiB", align: "right" }] as const
  return textTable(columns, [...rows, ["together", mebibytes(memory.total)]])
}

function operations(count: number): string {
  return count < 1e12
    ? short(count)
    : `${(count / (count < 1e15 ? 1e12 : 1e15)).toPrecision(3)}${count < 1e15 ? "T" : "P"}`
}

function epochsText(epochs: number): string {
  return `${epochs < 10 ? epochs.toFixed(2) : epochs.toFixed(1)} epochs`
}

function integer(value: number): string {
  return value.toLocaleString("en")
}
