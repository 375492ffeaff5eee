/** The memory of a rank, by purpose, and the most pairs that it can encode at once where memory is given. */

import type { PartName } from "../../export/part-cost.ts"
import { FLOAT_BYTES } from "./activations.ts"
import { type PlanContext, type Towers, textsOf, withChunk, withRanks } from "./context.ts"

export type MemoryPart =
  | "weights"
  | "gradients"
  | "optimizer"
  | "average"
  | "lowPrecisionWeights"
  | "activations"
  | "features"
  | "similarities"
  | "batch"
  | "saving"
  | "process"

/** Bytes on each rank, by purpose. */
export type Memory = Readonly<Record<MemoryPart, number>> & { readonly total: number }

/** Whose memory: a GPU's, or the machine's, which holds the process and the batches that wait as well. */
export type Place = "cpu" | "gpu"

const HALF_BYTES = 2

/**
 * What a step holds at its peak, with gradients and the allocator's gaps, over the float32 results of all operations. On a GPU:
 * measured on an H200 for MobileCLIP2-B and S2, plain and reinforced. On a processor: by runs of the quickstart's model at
 * 8 to 128 pairs, of MobileCLIP2-S0 at 2 and 8 and of B at 8, with a save after each step (docs/log.md).
 */
const RESULTS_HELD = { gpu: 0.82, cpu: 0.7 } as const satisfies Record<Place, number>

/** Node with libtorch, the thread that loads, tokenizer and report, without what grows with model or batch. From the same runs. */
const PROCESS_BYTES = 370 * 2 ** 20

/** Batches that exist at once on a processor: one in the step, those that wait, and one that is made. */
const BATCHES = { gpu: 1, cpu: 5 } as const satisfies Record<Place, number>

/** Copies of the pixels that RangeAugment keeps for its gradients: each change, the noise, and the difference from the originals. */
const CHANGED_COPIES = 14

export function memoryOf(context: PlanContext, place: Place): Memory {
  const { recipe, towers, batch, config } = context
  const all = sizeOf(towers, ["image", "text", "decoder"])
  const learned = all - sizeOf(towers, recipe.lock)
  const isHalf = recipe.precision !== "fp32"
  const texts = textsOf(recipe)
  const pixels = 3 * config.imageSize ** 2
  const [weights, optimizer] = [all * FLOAT_BYTES, 2 * learned * FLOAT_BYTES]
  const average = recipe.ema.decay === null ? 0 : all * FLOAT_BYTES
  const parts: Record<MemoryPart, number> = {
    ...{ weights, optimizer, average },
    gradients: learned * FLOAT_BYTES,
    // Autocast keeps the weights of a step in its type.
    lowPrecisionWeights: isHalf ? all * HALF_BYTES : 0,
    activations: batch.chunk * activationShare(context, place) * pairActivations(towers, texts),
    features: featureBytes(context),
    similarities: similarityBytes(context),
    batch:
      BATCHES[place] * batch.perRank * (pixels * FLOAT_BYTES + texts * config.text.contextLength * 8) +
      (recipe.rangeAugment === null ? 0 : batch.chunk * pixels * FLOAT_BYTES * CHANGED_COPIES),
    // One copy in the machine's memory, which is written while training goes on and kept for the next save.
    saving: place === "cpu" ? weights + optimizer + average : 0,
    process: place === "cpu" ? PROCESS_BYTES : 0,
  }
  return { ...parts, total: Object.values(parts).reduce((sum, bytes) => sum + bytes, 0) }
}

/** What checkpointing keeps are inputs of blocks, all of them. */
function activationShare({ recipe }: PlanContext, place: Place): number {
  const share = recipe.activationCheckpointing ? 1 : RESULTS_HELD[place]
  return recipe.precision === "fp32" ? share : (share * HALF_BYTES) / FLOAT_BYTES
}

/** Learned values in these parts. */
function sizeOf(towers: Towers, parts: readonly PartName[]): number {
  return parts.reduce((sum, part) => sum + (towers[part]?.parameters.train ?? 0), 0)
}

function pairActivations({ image, text, decoder }: Towers, texts: number): number {
  return image.activationBytes + texts * text.activationBytes + (decoder?.activationBytes ?? 0)
}

/** Features of the whole batch, as every rank gathers them: the student's with their gradients, the teachers' without. */
function featureBytes({ recipe, config, batch, teacherWidths }: PlanContext): number {
  const vectors = 1 + textsOf(recipe)
  const teachers = teacherWidths.reduce((sum, width) => sum + width, 0)
  return batch.size * vectors * (2 * config.embedDim + teachers) * FLOAT_BYTES
}

/** The rank's rows with all columns, in both directions: logits, their softmax and its gradient, the teachers' mean. */
function similarityBytes({ recipe, batch, teacherWidths }: PlanContext): number {
  const matrices = 3 + (teacherWidths.length > 0 ? 2 : 0)
  return 2 * textsOf(recipe) * matrices * batch.perRank * batch.size * FLOAT_BYTES
}

// ------------------------------------------------------------------------------------------------------ what fits

/** What a rank has, and what is left free in it for the driver, the allocator's gaps and other programs. */
export interface Room {
  readonly bytes: number
  readonly place: Place
}

const shareThatIsUsed = 0.9

export function fitsIn(context: PlanContext, { bytes, place }: Room): boolean {
  return memoryOf(context, place).total <= shareThatIsUsed * bytes
}

/** The most pairs that a rank can encode at once: all of its pairs, or a power of two; null where one is too many. */
export function largestChunk(context: PlanContext, room: Room): number | null {
  return chunksOf(context).find((chunk) => fitsIn(withChunk(context, chunk), room)) ?? null
}

/** All of a rank's pairs, then the powers of two below, down to one. */
export function chunksOf({ batch }: PlanContext): number[] {
  const powers = Array.from({ length: Math.ceil(Math.log2(batch.perRank)) }, (_, i) => 2 ** i)
  return [batch.perRank, ...powers.reverse()]
}

/** The fewest ranks, among the multiples of `ranks` by two, on which the recipe fits as it is; null: none. */
export function fewestRanks(context: PlanContext, ranks: number, room: Room): number | null {
  for (let more = 2 * ranks; context.batch.size % more === 0 && more <= context.batch.size; more *= 2) {
    if (fitsIn(withRanks(context, more), room)) return more
  }
  return null
}
