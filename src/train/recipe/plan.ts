/**
 * What a run will take, before anything is computed: parameters, multiply-adds, memory, length and time.
 * Multiply-adds count convolutions, linear layers, attention's products and the similarities of the loss. A backward pass
 * counts as two forward passes. Texts count with their full length, though causal towers stop at the longest of a batch; a
 * captioner's softmax counts with all words, though `loss.sampledWords` takes fewer.
 */
import { assert, UserError } from "../../core/errors.ts"
import { type ModelConfig, type ModelName, modelNamed } from "../../core/family/variants.ts"
import { weightsFile } from "../../hub/choose-weights.ts"
import { buildModel, type CheckpointModel } from "../../model/checkpoint/checkpoint.ts"
import { Coca } from "../../model/coca.ts"
import type { Module } from "../../model/module.ts"
import { reparameterize } from "../../model/reparameterize.ts"
import { checkpointInfo } from "../../weights/open-checkpoint.ts"
import { distils, hasTwoTerms } from "./resolved.ts"
import { type RunLength, runLength } from "./run-length.ts"
import { modelOfStart, type Recipe } from "./schema.ts"
import { activationBytes, FLOAT_BYTES, type PartName, partCost } from "./tower-cost.ts"

/** Facts about the data and the machine that a recipe does not have. */
export interface PlanFacts {
  /** Pairs in the data. */
  readonly samples: number | null
  readonly shards?: number
  readonly ranks?: number
  /** Pairs a second over all ranks, where a run has measured it. */
  readonly samplesPerSecond?: number
  /** Multiply-adds a second of a large matrix product, on one rank. */
  readonly matmulRate?: number
}

export interface TowerPlan {
  readonly parameters: { readonly train: number; readonly inference: number }
  /** Multiply-adds of one forward pass of one picture or text, in the form that is trained. */
  readonly multiplyAdds: number
  /** Bytes in float32 for one picture or text. */
  readonly activationBytes: number
}

export interface Plan {
  readonly model: string
  readonly image: TowerPlan
  readonly text: TowerPlan
  /** A captioner's decoder, for a caption of full length. */
  readonly decoder?: TowerPlan
  readonly length: RunLength
  readonly ranks: number
  /** Pairs of a step on each rank, and how many are encoded at once. */
  readonly batch: { readonly size: number; readonly perRank: number; readonly chunk: number }
  /** For a pair, and for a step over all ranks, with all forward and backward passes. */
  readonly multiplyAdds: { readonly perSample: number; readonly perStep: number }
  /** Bytes on each rank, by purpose. */
  readonly memory: Readonly<Record<MemoryPart, number>> & { readonly total: number }
  readonly shardsPerRank: number | null
  /** Null where no rate is known. `matmul` assumes that everything runs as fast as a large matrix product: a lower bound. */
  readonly time: {
    readonly seconds: number
    readonly samplesPerSecond: number
    readonly kind: "measured" | "matmul"
  } | null
}

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

const HALF_BYTES = 2
/** The width of stored embeddings where the recipe does not give it: that of the papers' teachers. */
const TEACHER_WIDTH = 768

/** Throws UserError where the run's length cannot be told, or the batch does not divide among the ranks. */
export function planOf(recipe: Recipe, facts: PlanFacts): Plan {
  const config = configOf(recipe)
  const ranks = facts.ranks ?? 1
  const perRank = rankShare(recipe.batch.size, ranks)
  const batch = { size: recipe.batch.size, perRank, chunk: Math.min(recipe.batch.chunk ?? perRank, perRank) }
  const towers = towersOf(config, recipe)
  const length = runLength(recipe, facts.samples)
  const context: PlanContext = { towers, recipe, config, batch, teacherWidths: teacherWidthsOf(recipe) }
  const perSample = multiplyAddsOf(context)
  const multiplyAdds = { perSample, perStep: perSample * batch.size }
  return {
    model: recipe.model,
    ...towers,
    length,
    ranks,
    batch,
    multiplyAdds,
    memory: memoryOf(context),
    shardsPerRank: facts.shards === undefined ? null : facts.shards / ranks,
    time: timeOf(length, perSample, ranks, facts),
  }
}

function configOf({ model, start }: Recipe): ModelConfig {
  return model === modelOfStart ? checkpointInfo(weightsFile(start!)).config : modelNamed(model as ModelName).model
}

function rankShare(size: number, ranks: number): number {
  if (size % ranks === 0) return size / ranks
  throw new UserError(
    `a batch of ${size} does not divide among ${ranks} ranks`,
    `every rank takes as much: set batch.size to ${Math.max(1, Math.round(size / ranks)) * ranks}`,
  )
}

interface PlanContext {
  readonly towers: Towers
  readonly recipe: Recipe
  readonly config: ModelConfig
  readonly batch: Plan["batch"]
  readonly teacherWidths: readonly number[]
}

// ------------------------------------------------------------------------------------------------------- towers

type Towers = Pick<Plan, PartName>

function towersOf(config: ModelConfig, { activationCheckpointing }: Recipe): Towers {
  const trained = buildModel(config)
  const fused = reparameterize(buildModel(config))
  const tower = (name: PartName): TowerPlan => {
    const { layers, multiplyAdds, attentionMultiplyAdds } = partCost(trained, name)
    return {
      parameters: { train: partOf(trained, name).learnedSize(), inference: partCost(fused, name).parameters },
      multiplyAdds: multiplyAdds + attentionMultiplyAdds,
      activationBytes: activationBytes(layers, { checkpointing: activationCheckpointing }),
    }
  }
  return {
    image: tower("image"),
    text: tower("text"),
    ...(trained instanceof Coca && { decoder: tower("decoder") }),
  }
}

function partOf(model: CheckpointModel, part: PartName): Module {
  if (part !== "decoder") return model[part]
  assert(model instanceof Coca, "a model without a decoder")
  return model.decoder
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

/**
 * A training step's work on a part of the model, in forward passes. The decoder runs once, whatever the chunks; a
 * captioner's locked tower is encoded again with each chunk, because its tokens are read again.
 */
function passesOf(part: PartName, { recipe, batch, towers }: PlanContext): number {
  const chunked = Number(batch.chunk < batch.perRank)
  const checkpointed = Number(recipe.activationCheckpointing)
  if (part === "decoder") return 3 + checkpointed
  if (recipe.lock.includes(part)) return towers.decoder ? 1 + chunked : 1
  return 3 + chunked + checkpointed
}

/** Captions that are encoded for a pair. */
function textsOf(recipe: Recipe): number {
  return hasTwoTerms(recipe) ? 2 : 1
}

/** Both directions of each pairing; the student's with their gradients, the teachers' once. */
function similarityMultiplyAdds({ recipe, config, batch, teacherWidths }: PlanContext): number {
  const widths = 3 * config.embedDim + teacherWidths.reduce((sum, width) => sum + width, 0)
  return 2 * textsOf(recipe) * batch.size * widths
}

function teacherWidthsOf(recipe: Recipe): readonly number[] {
  if (!distils(recipe)) return []
  const { data, loss } = recipe
  if (data.teacherWidths.length > 0) return data.teacherWidths
  return loss.teacherScales.map(() => TEACHER_WIDTH)
}

// ------------------------------------------------------------------------------------------------------- memory

function memoryOf(context: PlanContext): Plan["memory"] {
  const { recipe, towers, batch, config } = context
  const all = sizeOf(towers, ["image", "text", "decoder"])
  const learned = all - sizeOf(towers, recipe.lock)
  const isHalf = recipe.precision !== "fp32"
  const texts = textsOf(recipe)
  const activationShare = isHalf ? HALF_BYTES / FLOAT_BYTES : 1
  const pixels = 3 * config.imageSize ** 2
  const parts: Record<MemoryPart, number> = {
    weights: all * FLOAT_BYTES,
    gradients: learned * FLOAT_BYTES,
    optimizer: 2 * learned * FLOAT_BYTES,
    average: recipe.ema === null ? 0 : all * FLOAT_BYTES,
    // Autocast keeps the weights of a step in its type.
    lowPrecisionWeights: isHalf ? all * HALF_BYTES : 0,
    activations: batch.chunk * activationShare * pairActivations(towers, texts),
    features: featureBytes(context),
    similarities: similarityBytes(context),
    batch: batch.perRank * (pixels * FLOAT_BYTES + texts * config.text.contextLength * 8),
  }
  return { ...parts, total: Object.values(parts).reduce((sum, bytes) => sum + bytes, 0) }
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

// --------------------------------------------------------------------------------------------------------- time

function timeOf(length: RunLength, perSample: number, ranks: number, facts: PlanFacts): Plan["time"] {
  if (facts.samplesPerSecond !== undefined) return estimate(length, facts.samplesPerSecond, "measured")
  if (facts.matmulRate === undefined) return null
  return estimate(length, (facts.matmulRate * ranks) / perSample, "matmul")
}

function estimate({ samples }: RunLength, samplesPerSecond: number, kind: "measured" | "matmul") {
  return { seconds: samples / samplesPerSecond, samplesPerSecond, kind }
}
