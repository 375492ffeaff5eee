/** `mobileclip train --dry-run`: the plan of a run, as data and as text. The decision comes first. */

import { printable } from "../../core/printable.ts"
import { shellQuote } from "../../core/shell-quote.ts"
import { durationText, integer, rateText } from "../../report/numbers.ts"
import type { TowerPlan } from "../../train/plan/context.ts"
import { planFacts } from "../../train/plan/facts.ts"
import { gpus, measuredShares } from "../../train/plan/gpus.ts"
import type { MemoryPart } from "../../train/plan/memory.ts"
import { type Fit, type HardwarePlan, type Plan, planOf } from "../../train/plan/plan.ts"
import { distils, lossWeights } from "../../train/recipe/resolved.ts"
import type { Recipe } from "../../train/recipe/schema.ts"
import { millions, short } from "../models/units.ts"
import { splitWords } from "../options.ts"
import { textTable } from "../table.ts"
import type { Launch } from "./arguments.ts"

interface DryRun {
  readonly plan: Plan & { readonly start: readonly string[] }
  text(): string
}

/**
 * @param known the model, and the pairs in the data where they were counted; the recipe's `data.samples` takes precedence
 * @param argv the words of `train`, from which the command is made that starts the run
 */
export async function dryRun(
  recipe: Recipe,
  launch: Launch,
  known: Parameters<typeof planFacts>[2],
  argv: readonly string[],
): Promise<DryRun> {
  const plan = planOf(recipe, await planFacts(recipe, launch, known))
  const start = startCommands(plan, recipe, launch, argv)
  return { plan: { ...plan, start }, text: () => planText(plan, recipe, start) }
}

// --------------------------------------------------------------------------------------------------------- text

/** Sections, most of them aligned columns, without a line break at the end. */
export function planText(plan: Plan, recipe: Recipe, start: readonly string[]): string {
  const sections = [
    verdictText(plan),
    runTable(plan, recipe),
    hardwareTable(plan, recipe),
    memoryTable(plan),
    chunkTable(plan),
    towerTable(plan),
    ...(start.length > 0 ? [["to start it:", ...start.map((line) => `  ${line}`)].join("\n")] : []),
  ]
  return sections.join("\n\n")
}

/** Whether it fits, in what, and if not what to do. */
function verdictText(plan: Plan): string {
  const { fit, batch, memory, ranks } = plan
  if (!fit) return "whether it fits is not known: there is no GPU here. --gpu h100 plans for one"
  const has = `${placeName(fit)} ${memoryText(fit.bytes)}${fit.place === "cpu" && ranks > 1 ? " for each rank" : ""}`
  const free = `a tenth of which stays free`
  if (fit.fits) return `fits: a rank takes ${memoryText(memory.total)}, and ${has}, ${free}`
  const takes = `a rank takes ${memoryText(memory.total)} with ${integer(batch.chunk)} pairs encoded at once`
  return [`does not fit: ${takes}, and ${has}, ${free}`, ...remedies(fit, plan).map((line) => `  ${line}`)].join("\n")
}

function remedies(
  { gpu, largestChunk, largestChunkBytes, fewestRanks, place }: Fit,
  { ranks, hardware }: Plan,
): string[] {
  const least = gpu && hardware.find((one) => one.gpu === gpu && one.ranks > ranks)
  return [
    ...(largestChunk === null
      ? ["not with one pair encoded at once either: what it takes grows with the batch of a rank"]
      : [`--chunk-size ${largestChunk} does: ${memoryText(largestChunkBytes!)}; ${chunkPrice(largestChunk)}`]),
    ...(least
      ? [`--gpus ${least.ranks} --chunk-size ${least.batch.chunk} does; ${chunkPrice(least.batch.chunk)}`]
      : []),
    ...(fewestRanks === null ? [] : [`--gpus ${fewestRanks} does as it is`]),
    ...(place === "cpu" ? ["GPUs have more memory: --gpu h100 plans for one, --gpus for how many"] : []),
  ]
}

function chunkPrice(chunk: number): string {
  return `every pair is encoded once more, and batch norm sees ${integer(chunk)} pairs`
}

function placeName({ gpu, place }: Fit): string {
  if (gpu) return `the ${gpus[gpu].label} has`
  return place === "gpu" ? "the GPU here has" : "this machine has"
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
  const { length, ranks, batch, multiplyAdds, shardsPerRank, time, disk } = plan
  const split = ranks > 1 ? `, ${integer(batch.perRank)} on each of ${ranks} ranks` : ""
  const chunks = batch.chunk < batch.perRank ? `, ${integer(batch.chunk)} encoded at once` : ""
  const rows = [
    ["model", plan.model],
    ["batch", `${integer(batch.size)} pairs${split}${chunks}`],
    ["steps", `${integer(length.steps)}, ${integer(length.warmupSteps)} of them warm-up`],
    ["pairs seen", `${integer(length.samples)}${length.epochs === null ? "" : ` (${epochsText(length.epochs)})`}`],
    ["loss", lossText(recipe)],
    ["precision", recipe.precision],
    ["multiply-adds", `${short(multiplyAdds.perSample)} a pair, ${operations(multiplyAdds.perStep)} a step`],
    ["data", dataText(plan, recipe)],
    [
      "disk",
      `${storageText(disk.total)} for checkpoints and the model; a checkpoint has ${storageText(disk.checkpoint)}`,
    ],
    ...(shardsPerRank === null ? [] : [["shards", `${Number(shardsPerRank.toFixed(1))} per rank`]]),
    ...(time ? [["time", timeText(time, ranks)]] : []),
  ]
  return textTable([{ title: "run" }, { title: "" }], rows)
}

function dataText({ data }: Plan, { data: { train } }: Recipe): string {
  const absent = train === null || data?.isHere ? "" : `; ${printable(train)} is not on this machine`
  if (!data) return `its size is not known${absent}`
  if (data.bytes === null) return "on this machine; its size was not measured"
  if (data.isHere) return `${storageText(data.bytes)} on this machine`
  return `about ${storageText(data.bytes)} to download, ${storageText(data.perPair!)} a pair as in the published sets${absent}`
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

function timeText({ seconds, samplesPerSecond, kind }: NonNullable<Plan["time"]>, ranks: number): string {
  const rate = `${spanText(seconds)} at ${pairsText(samplesPerSecond)} ${ratesOf(samplesPerSecond, ranks)}`
  if (kind === "measured") return rate
  return `at least ${rate}, were all as fast as a large matrix product is here now, and all texts of full length`
}

/** 20000 pairs/s, 12 pairs/min */
function pairsText(perSecond: number): string {
  return rateText(perSecond).replace("/", " pairs/")
}

function ratesOf(perSecond: number, ranks: number): string {
  return ranks === 1 ? "on one rank" : `over all ${integer(ranks)} ranks, ${rateText(perSecond / ranks)} on each`
}

// ----------------------------------------------------------------------------------------------------- hardware

function hardwareTable({ hardware }: Plan, recipe: Recipe): string {
  const titles = [
    "GPUs",
    "encoded at once",
    "pairs/s on each",
    "GPU-hours",
    "from start to end",
    "cores to load for each",
  ]
  const columns = [{ title: "on" }, ...titles.map((title) => ({ title, align: "right" as const }))]
  if (hardware.length === 0) return "on no GPU that is known here does one pair at once fit"
  const table = textTable(columns, hardware.map(hardwareRow))
  return [table, ...assumptions(recipe).map((line) => `  ${line}`)].join("\n")
}

/** Pictures a second that a processor core loads for training: JPEGs of 500 x 400 to 256 pixels, measured (docs/measurements.md). */
const picturesOfCore = 400

function hardwareRow({ gpu, ranks, batch, perRank, gpuHours, seconds }: HardwarePlan): string[] {
  const { chunk } = batch
  const pairs = chunk < batch.perRank ? `${integer(chunk)} of ${integer(batch.perRank)}` : `all ${integer(chunk)}`
  const cores = integer(Math.ceil(perRank / picturesOfCore))
  return [gpus[gpu].label, integer(ranks), pairs, rateText(perRank), hoursText(gpuHours), spanText(seconds), cores]
}

function assumptions({ teachers }: Recipe): string[] {
  const percent = (share: number) => `${Math.round(100 * share)} %`
  return [
    `estimated from an H200, measured: transformers reach ${percent(measuredShares.peak)} of the published peak (31 % of the measured one),`,
    `FastViT's convolutions ${percent(measuredShares.bandwidth)} of the memory's bandwidth; no rank waits for data or for another, and a core`,
    `loads ${picturesOfCore} pictures a second`,
    ...(teachers.length > 0 ? ["the teachers that run along are not counted"] : []),
  ]
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
  saving: "copy for a checkpoint",
  process: "Node, libtorch, loader, report",
} as const satisfies Record<MemoryPart, string>

function memoryTable({ memory, fit }: Plan): string {
  const parts = (Object.keys(memoryNames) as MemoryPart[]).filter((part) => memory[part] > 0)
  const rows = parts.map((part) => [memoryNames[part], memoryText(memory[part])])
  const where = fit?.place === "cpu" ? "a rank on the processor" : "a rank on a GPU"
  const columns = [{ title: `memory of ${where}` }, { title: "estimate", align: "right" }] as const
  return textTable(columns, [...rows, ["together", memoryText(memory.total)]])
}

/** All pairs of a rank, then powers of two down to the second that fits. */
function chunkTable({ chunks }: Plan): string {
  const first = chunks.findIndex(({ fits }) => fits)
  const shown = first < 0 ? chunks.slice(0, 6) : chunks.slice(Math.max(0, first - 4), Math.max(first + 3, 4))
  const rows = shown.map(({ chunk, bytes, fits }, i) => {
    const isMost = i === shown.findIndex((one) => one.fits)
    const fitsText = fits === null ? "" : fits ? (isMost ? "yes, the most" : "yes") : "no"
    return [integer(chunk), memoryText(bytes), fitsText]
  })
  const titles = ["encoded at once", "memory of a rank", "fits"]
  return textTable(
    titles.map((title, i) => ({ title, align: i < 2 ? ("right" as const) : ("left" as const) })),
    rows,
  )
}

// -------------------------------------------------------------------------------------------------------- start

/** Options that only a plan has, and those that the command which starts the run sets anew. */
const planOptions = ["--dry-run", "--json", "--print-config"] as const
const valueOptions = ["--samples-per-second", "--gpu", "--gpus", "--nproc", "--device"] as const

/** A machine of the usual kind. */
const gpusOfMachine = 8

/** Commands that start what was planned: in one process, in several of this machine, or of several machines. */
function startCommands(
  plan: Pick<Plan, "ranks" | "fit" | "batch">,
  recipe: Recipe,
  { nproc, gpu, device, out }: Pick<Launch, "nproc" | "gpu" | "device" | "out">,
  argv: readonly string[],
): string[] {
  const { ranks, fit } = plan
  if (fit && !fit.fits && fit.largestChunk === null) return []
  const chunk = fit && !fit.fits ? [`batch.chunk=${fit.largestChunk}`] : []
  const words = [
    ...["mobileclip", "train", ...ownWords(argv)],
    ...(recipe.data.train === null ? ["--train-data", "DATA"] : []),
    ...(out === null ? ["--out", "RUN"] : []),
    ...(gpu !== null || device !== "cpu" ? ["--device", gpu === null ? device : "cuda"] : []),
  ]
  const line = [...words.map(shellQuote), ...chunk].join(" ")
  const perMachine = ranksOfMachine(ranks, nproc > 1 ? nproc : gpusOfMachine)
  if (ranks === 1) return [line]
  if (ranks <= perMachine) return [`${line} --nproc ${ranks}`]
  const machines = ranks / perMachine
  const rendezvous = `--node-rank N --master-addr HOST --master-port 29500`
  return [
    `torchrun --nnodes ${machines} --nproc-per-node ${perMachine} ${rendezvous} --no-python ${line}`,
    `(on each of ${machines} machines; N is 0 to ${machines - 1}, HOST the first of them; RUN and DATA where all see them)`,
    `srun --nodes ${machines} --ntasks-per-node ${perMachine} --gpus-per-node ${perMachine} ${line}`,
    `(with SLURM; or one process for each GPU with RANK, WORLD_SIZE=${ranks}, LOCAL_RANK, MASTER_ADDR, MASTER_PORT)`,
  ]
}

/** The most that leave as many for each machine. */
function ranksOfMachine(ranks: number, most: number): number {
  const counts = Array.from({ length: most }, (_, i) => most - i)
  return counts.find((count) => ranks % count === 0)!
}

function ownWords(argv: readonly string[]): string[] {
  return splitWords(argv, valueOptions).others.filter((word) => !planOptions.some((option) => word === option))
}

// -------------------------------------------------------------------------------------------------------- units

/** As memory is sold: 24.1 GiB, 321 MiB. */
export function memoryText(bytes: number): string {
  const gibibytes = bytes / 2 ** 30
  if (gibibytes < 1) return `${(bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0)} MiB`
  return `${Number(gibibytes.toPrecision(3)).toLocaleString("en")} GiB`
}

/** As disks and downloads are: 2.1 TB, 4.2 GB, 165 kB. */
export function storageText(bytes: number): string {
  const [unit, name] = ([[1e12, "TB"], [1e9, "GB"], [1e6, "MB"], [1e3, "kB"]] as const).find(([size]) => bytes >= size) ?? [1, "bytes"] // biome-ignore format: a table
  const value = bytes / unit
  return `${value < 10 ? value.toFixed(1) : integer(value)} ${name}`
}

function hoursText(hours: number): string {
  if (hours < 0.1) return "less than 0.1"
  return hours < 10 ? hours.toFixed(1) : integer(Number(hours.toPrecision(3)))
}

/** Days where there are more than two. */
function spanText(seconds: number): string {
  const days = seconds / 86_400
  if (days <= 2) return durationText(seconds)
  return `${days < 100 ? days.toFixed(1) : integer(days)} days`
}

function operations(count: number): string {
  return count < 1e12
    ? short(count)
    : `${(count / (count < 1e15 ? 1e12 : 1e15)).toPrecision(3)}${count < 1e15 ? "T" : "P"}`
}

function epochsText(epochs: number): string {
  return `${epochs < 10 ? epochs.toFixed(2) : epochs.toFixed(1)} epochs`
}
