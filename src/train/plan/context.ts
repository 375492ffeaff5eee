/** What every part of a plan is computed from: the towers' costs, and how a step's pairs are divided. */
import { assert, UserError } from "../../core/errors.ts"
import { type ModelConfig, type ModelName, modelNamed } from "../../core/family/variants.ts"
import { type PartName, partCost } from "../../export/part-cost.ts"
import { buildModel, type CheckpointInfo, type CheckpointModel } from "../../model/checkpoint/checkpoint.ts"
import { Coca } from "../../model/coca.ts"
import type { Module } from "../../model/module.ts"
import { reparameterize } from "../../model/reparameterize.ts"
import { distils, hasTwoTerms } from "../recipe/resolved.ts"
import { modelOfStart, type Recipe } from "../recipe/schema.ts"
import { activationBytes } from "./activations.ts"

export interface TowerPlan {
  readonly parameters: { readonly train: number; readonly inference: number }
  /** Multiply-adds of one forward pass of one picture or text, in the form that is trained. */
  readonly multiplyAdds: number
  /** Bytes in float32 that are kept for one picture or text, at most. */
  readonly activationBytes: number
  /** Bytes in float32 of all results of a forward pass of one picture or text. */
  readonly resultBytes: number
}

export type Towers = {
  readonly image: TowerPlan
  readonly text: TowerPlan
  /** A captioner's decoder, for a caption of full length. */
  readonly decoder?: TowerPlan
}

/** Pairs of a step: over all ranks, on each, and how many a rank encodes at once. */
export interface PlannedBatch {
  readonly size: number
  readonly perRank: number
  readonly chunk: number
}

export interface PlanContext {
  readonly recipe: Recipe
  readonly config: ModelConfig
  readonly towers: Towers
  readonly batch: PlannedBatch
  /** None where nothing is distilled. */
  readonly teacherWidths: readonly number[]
}

/** The width of stored embeddings where the recipe does not give it: that of the papers' teachers. */
const TEACHER_WIDTH = 768

/** A model that is planned for. */
export type PlannedModel = Pick<CheckpointInfo<ModelConfig>, "name" | "config">

/**
 * Throws UserError where the batch does not divide among the ranks.
 *
 * @param config that of the model; absent: from the tables, by the recipe's name
 */
export function planContext(recipe: Recipe, ranks: number, config = configNamed(recipe)): PlanContext {
  const perRank = rankShare(recipe.batch.size, ranks)
  const batch = { size: recipe.batch.size, perRank, chunk: Math.min(recipe.batch.chunk ?? perRank, perRank) }
  return { recipe, config, towers: towersOf(config, recipe), batch, teacherWidths: teacherWidthsOf(recipe) }
}

function configNamed({ model }: Recipe): ModelConfig {
  assert(model !== modelOfStart, "a model that only the weights to begin with say must be among the plan's facts")
  return modelNamed(model as ModelName).model
}

/** The same run with so many pairs encoded at once. */
export function withChunk(context: PlanContext, chunk: number): PlanContext {
  return { ...context, batch: { ...context.batch, chunk } }
}

/** The same run on so many ranks, among which the batch divides. */
export function withRanks(context: PlanContext, ranks: number): PlanContext {
  const { size } = context.batch
  const perRank = rankShare(size, ranks)
  return { ...context, batch: { size, perRank, chunk: Math.min(context.recipe.batch.chunk ?? perRank, perRank) } }
}

function rankShare(size: number, ranks: number): number {
  if (size % ranks === 0) return size / ranks
  throw new UserError(
    `a batch of ${size} does not divide among ${ranks} ranks`,
    `every rank takes as much: set batch.size to ${Math.max(1, Math.round(size / ranks)) * ranks}`,
  )
}

function towersOf(config: ModelConfig, { activationCheckpointing }: Recipe): Towers {
  const trained = buildModel(config)
  const fused = reparameterize(buildModel(config))
  const tower = (name: PartName): TowerPlan => {
    const cost = partCost(trained, name)
    return {
      parameters: { train: partOf(trained, name).learnedSize(), inference: partCost(fused, name).parameters },
      multiplyAdds: cost.multiplyAdds + cost.attentionMultiplyAdds,
      activationBytes: activationBytes(cost.layers, { checkpointing: activationCheckpointing }),
      resultBytes: cost.activationBytes,
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

function teacherWidthsOf(recipe: Recipe): readonly number[] {
  if (!distils(recipe)) return []
  const { data, loss } = recipe
  if (data.teacherWidths.length > 0) return data.teacherWidths
  return loss.teacherScales.map(() => TEACHER_WIDTH)
}

/** Captions that are encoded for a pair. */
export function textsOf(recipe: Recipe): number {
  return hasTwoTerms(recipe) ? 2 : 1
}

/**
 * A training step's work on a part of the model, in forward passes. The decoder runs once, whatever the chunks; a
 * captioner's locked tower is encoded again with each chunk, because its tokens are read again.
 */
export function passesOf(part: PartName, { recipe, batch, towers }: PlanContext): number {
  const chunked = Number(batch.chunk < batch.perRank)
  const checkpointed = Number(recipe.activationCheckpointing)
  if (part === "decoder") return 3 + checkpointed
  if (recipe.lock.includes(part)) return towers.decoder ? 1 + chunked : 1
  return 3 + chunked + checkpointed
}
