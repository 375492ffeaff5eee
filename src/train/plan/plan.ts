/**
 * What a run will take, before anything is computed: parameters, multiply-adds, memory, disk, length, time, and whether it fits.
 * Multiply-adds count convolutions, linear layers, attention's products and the similarities of the loss. A backward pass
 * counts as two forward passes. Texts count with their full length, though causal towers stop at the longest of a batch; a
 * captioner's softmax counts with all words, though `loss.sampledWords` takes fewer.
 */

import type { PartName } from "../../export/part-cost.ts"
import { type RunLength, runLength } from "../recipe/run-length.ts"
import type { Recipe } from "../recipe/schema.ts"
import {
  type PlanContext,
  type PlannedBatch,
  type PlannedModel,
  passesOf,
  planContext,
  type Towers,
  textsOf,
  withChunk,
  withRanks,
} from "./context.ts"
import { type Gpu, type GpuName, gpuNames, gpus, pairsPerSecond } from "./gpus.ts"
import { chunksOf, fewestRanks, fitsIn, largestChunk, type Memory, memoryOf, type Place, type Room } from "./memory.ts"
import { type DataFacts, type DataPlan, type DiskPlan, dataEstimate, diskOf } from "./storage.ts"

/** Facts about the data and the machine that a recipe does not have. */
export interface PlanFacts extends Partial<DataFacts> {
  /** The model that is trained: required where the recipe says that it is that of its start. */
  readonly model?: PlannedModel
  /** Pairs in the data. */
  readonly samples: number | null
  readonly ranks?: number
  /** Pairs a second over all ranks, where a run has measured it. */
  readonly samplesPerSecond?: number
  /** Multiply-adds a second of a large matrix product, on one rank. */
  readonly matmulRate?: number
  /** The GPU that every rank has; absent: what `room` is. */
  readonly gpu?: GpuName
  /** What a rank has on this machine. */
  readonly room?: Room
}

export interface Plan extends Towers {
  readonly model: string
  readonly length: RunLength
  readonly ranks: number
  /** Pairs of a step on each rank, and how many are encoded at once. */
  readonly batch: PlannedBatch
  /** For a pair, and for a step over all ranks, with all forward and backward passes. */
  readonly multiplyAdds: { readonly perSample: number; readonly perStep: number }
  /** Bytes on each rank, by purpose. */
  readonly memory: Memory
  /** Null where it is not known what the run would compute on. */
  readonly fit: Fit | null
  /** From all pairs of a rank on down. */
  readonly chunks: readonly ChunkPlan[]
  readonly disk: DiskPlan
  readonly data: DataPlan | null
  readonly shardsPerRank: number | null
  /** Over all ranks. Null where no rate is known. `matmul` assumes that everything runs as fast as a large matrix product: a lower bound. */
  readonly time: {
    readonly seconds: number
    readonly samplesPerSecond: number
    readonly kind: "measured" | "matmul"
  } | null
  /** The run on each GPU whose figures are known, in the largest chunks that fit it. */
  readonly hardware: readonly HardwarePlan[]
}

/** Whether the run fits into what it would compute on. */
export interface Fit {
  /** The name of a GPU; null: this machine, or its GPU. */
  readonly gpu: GpuName | null
  readonly place: Place
  /** All of the memory that a rank has. */
  readonly bytes: number
  readonly fits: boolean
  /** The most pairs that a rank can encode at once; null where one is too many. */
  readonly largestChunk: number | null
  /** The total with that chunk. */
  readonly largestChunkBytes: number | null
  /** Where it does not fit: the ranks on which it does as it is, by doubling them; null: none. */
  readonly fewestRanks: number | null
}

/** A rank's memory with so many pairs encoded at once. */
interface ChunkPlan {
  readonly chunk: number
  /** The total. */
  readonly bytes: number
  /** Whether that fits into what the run would compute on; null where that is not known. */
  readonly fits: boolean | null
}

export interface HardwarePlan {
  readonly gpu: GpuName
  /** As many as were asked for; more, by doubling, where one rank's part does not fit otherwise. */
  readonly ranks: number
  /** Pairs of a rank, and how many of them are encoded at once. */
  readonly batch: PlannedBatch
  /** Pairs a second of one rank. */
  readonly perRank: number
  /** Over all ranks. */
  readonly gpuHours: number
  /** From begin to end, if no rank waits for another, or for data. */
  readonly seconds: number
}

/** Throws UserError where the run's length cannot be told, or the batch does not divide among the ranks. */
export function planOf(recipe: Recipe, facts: PlanFacts): Plan {
  const ranks = facts.ranks ?? 1
  const context = planContext(recipe, ranks, facts.model?.config)
  const length = runLength(recipe, facts.samples)
  const perSample = multiplyAddsOf(context)
  const room = roomOf(facts)
  return {
    model: facts.model?.name ?? recipe.model,
    ...context.towers,
    ...{ length, ranks, batch: context.batch },
    multiplyAdds: { perSample, perStep: perSample * context.batch.size },
    memory: memoryOf(context, room?.place ?? "gpu"),
    fit: room && fitOf(context, ranks, room, facts.gpu ?? null),
    chunks: chunkPlans(context, room),
    disk: diskOf(context.towers, recipe),
    data: dataOf(recipe, facts),
    shardsPerRank: facts.shards === undefined ? null : facts.shards / ranks,
    time: timeOf(length, perSample, ranks, facts),
    hardware: (facts.gpu ? [facts.gpu] : gpuNames).flatMap((name) => hardwareOf(context, ranks, length.samples, name)),
  }
}

function dataOf(recipe: Recipe, { dataBytes, isDataHere, samples }: PlanFacts): DataPlan | null {
  if (dataBytes !== undefined || isDataHere) return { bytes: dataBytes ?? null, isHere: true }
  return dataEstimate(recipe, recipe.data.samples ?? samples)
}

// ------------------------------------------------------------------------------------------------ multiply-adds

/** The multiply-adds of a pair, including its share of the similarities of the whole batch. */
function multiplyAddsOf(context: PlanContext): number {
  const { recipe, towers } = context
  const { image, text, decoder } = towers
  const pass = (part: PartName) => passesOf(part, context)
  const encoded = image.multiplyAdds * pass("image") + text.multiplyAdds * textsOf(recipe) * pass("text")
  return encoded + (decoder?.multiplyAdds ?? 0) * pass("decoder") + similarityMultiplyAdds(context)
}

/** Both directions of each pairing; the student's with their gradients, the teachers' once. */
function similarityMultiplyAdds({ recipe, config, batch, teacherWidths }: PlanContext): number {
  const widths = 3 * config.embedDim + teacherWidths.reduce((sum, width) => sum + width, 0)
  return 2 * textsOf(recipe) * batch.size * widths
}

// ------------------------------------------------------------------------------------------------------- memory

function roomOf({ gpu, room }: PlanFacts): Room | null {
  return gpu ? { bytes: gpus[gpu].memoryBytes, place: "gpu" } : (room ?? null)
}

function fitOf(context: PlanContext, ranks: number, room: Room, gpu: GpuName | null): Fit {
  const fits = fitsIn(context, room)
  const chunk = largestChunk(context, room)
  return {
    ...{ gpu, place: room.place, bytes: room.bytes, fits, largestChunk: chunk },
    largestChunkBytes: chunk === null ? null : memoryOf(withChunk(context, chunk), room.place).total,
    // More ranks on this machine would share its memory.
    fewestRanks: fits || room.place === "cpu" ? null : fewestRanks(context, ranks, room),
  }
}

function chunkPlans(context: PlanContext, room: Room | null): ChunkPlan[] {
  return chunksOf(context).map((chunk) => {
    const own = withChunk(context, chunk)
    return { chunk, bytes: memoryOf(own, room?.place ?? "gpu").total, fits: room && fitsIn(own, room) }
  })
}

// --------------------------------------------------------------------------------------------------------- time

function timeOf(length: RunLength, perSample: number, ranks: number, facts: PlanFacts): Plan["time"] {
  if (facts.samplesPerSecond !== undefined) return estimate(length, facts.samplesPerSecond, "measured")
  if (facts.matmulRate === undefined) return null
  return estimate(length, (facts.matmulRate * ranks) / perSample, "matmul")
}

function estimate({ samples }: RunLength, samplesPerSecond: number, kind: "measured" | "matmul") {
  return { seconds: samples / samplesPerSecond, samplesPerSecond, kind }
}

/** The fewest ranks and the largest chunk that fit; none where not even one pair on each rank does. */
function hardwareOf(context: PlanContext, ranks: number, samples: number, name: GpuName): HardwarePlan[] {
  const gpu: Gpu = gpus[name]
  const chunk = largestChunk(context, { bytes: gpu.memoryBytes, place: "gpu" })
  if (chunk === null) {
    const more = 2 * ranks
    return context.batch.size % more > 0 ? [] : hardwareOf(withRanks(context, more), more, samples, name)
  }
  const own = withChunk(context, Math.min(chunk, context.batch.chunk))
  const perRank = pairsPerSecond(own, gpu)
  const seconds = samples / (perRank * ranks)
  return [{ gpu: name, ranks, batch: own.batch, perRank, gpuHours: (seconds * ranks) / 3600, seconds }]
}
