/**
 * Settings that are safe for a trained model: a low learning rate, lower still in lower layers, a short warm-up, and batch
 * norm's statistics as they are.
 */

import type { ModelConfig } from "../core/family/variants.ts"
import { partCost, partsOf } from "../export/part-cost.ts"
import { buildModel, isCoca } from "../model/checkpoint/checkpoint.ts"
import { activationBytes } from "../train/plan/activations.ts"
import { machineMemory } from "../train/plan/room.ts"
import { defaultRecipe } from "../train/recipe/schema.ts"
import { defaultTrainConfig, type TrainConfig } from "../train/train.ts"

/** What a user can set; the rest follows from the pictures and the model. */
export interface FinetuneSettings {
  readonly steps?: number
  readonly epochs?: number
  readonly batchSize?: number
  readonly chunkSize?: number
  readonly learningRate?: number
  readonly layerDecay?: number
  readonly lock?: "image" | "text"
  readonly precision?: "float32" | "bfloat16"
  /** Seed of the batches and of the held-out pictures; default 0. */
  readonly seed?: number
  /** Default "cpu". */
  readonly device?: "cpu" | "cuda" | "mps"
  readonly threads?: number
}

/**
 * CLIP is fine-tuned with 1e-5 (FLYP, arXiv 2212.00638) to 3e-5 (WiSE-FT, arXiv 2109.01903) at batches of 512. There, lower
 * layers have no smaller rates; here they have, which allows higher rates in the upper ones. Adam's rate scales with the square
 * root of the batch size (arXiv 2205.10287).
 */
const rate = { at: 64, learningRate: 3e-5 } as const

/**
 * Models below the released ones take larger rates, in inverse proportion to their parameters, up to ten times: with 3.5 M
 * parameters and 60 pictures, 2 of 100 more were right at the rate of large models, and 10 at ten times that (docs/log.md).
 */
const largeModel = 50e6
const mostTimes = 10

const largestBatch = 64
const [fewestSteps, mostSteps] = [100, 10_000]
const defaultEpochs = 10
/** Steps of a run that is not ended early. */
const shortRun = 200
const [warmupShare, longestWarmup] = [0.1, 500]
/** Evaluations along the way. */
const evaluations = 20

/** @param start the model that is tuned: a captioner also learns its captions */
export function finetuneConfig(
  pictures: number,
  settings: FinetuneSettings & Required<Pick<FinetuneSettings, "seed" | "device">>,
  start: ModelConfig,
  chunkSize = chunkSizeFor(start),
): TrainConfig {
  const { seed, device, threads, precision, lock } = settings
  const batchSize = settings.batchSize ?? batchSizeFor(pictures)
  const steps = settings.steps ?? stepsFor(pictures, batchSize, settings.epochs)
  const every = Math.ceil(steps / evaluations)
  return {
    ...defaultTrainConfig,
    objective: isCoca(start) ? captionerObjective : { kind: "clip" },
    ...{ batchSize, steps, seed, device },
    learningRate: settings.learningRate ?? rateFor(start) * Math.sqrt(batchSize / rate.at),
    warmupSteps: Math.min(longestWarmup, Math.ceil(steps * warmupShare), steps - 1),
    beta2: 0.98,
    weightDecay: 0.1,
    layerDecay: settings.layerDecay ?? 0.9,
    frozenStatistics: true,
    ...(lock && { locked: [lock] }),
    ...(chunkSize < batchSize && { chunkSize }),
    ...(precision === "bfloat16" && { precision }),
    ...(threads !== undefined && { threads }),
    saveEvery: every,
    evaluateEvery: every,
  }
}

/** Few pictures make few steps and coarse scores, which fall before they rise: such a run goes to its end. */
export function patienceFor(steps: number): number {
  return steps <= shortRun ? 0 : 5
}

/** The largest rate at a batch of 64. */
export function rateFor(start: ModelConfig): number {
  return rate.learningRate * Math.min(mostTimes, Math.max(1, largeModel / buildModel(start).learnedSize()))
}

/** The weights of the losses are CoCa's, as in training from scratch. */
const captionerObjective = {
  kind: "coca",
  clipWeight: defaultRecipe.loss.contrastiveWeight,
  captionWeight: defaultRecipe.loss.captionWeight,
} as const

/** A power of two with which an epoch has at least four batches, but at least 8 pairs, so that there are captions to choose among. */
export function batchSizeFor(pictures: number): number {
  const quarter = 2 ** Math.floor(Math.log2(pictures / 4))
  return Math.min(largestBatch, Math.max(quarter, Math.min(8, pictures)))
}

/** Ten passes over the pictures, or more passes where there are few pictures. */
export function stepsFor(pictures: number, batchSize: number, epochs?: number): number {
  const steps = Math.ceil(((epochs ?? defaultEpochs) * pictures) / batchSize)
  return epochs === undefined ? Math.min(mostSteps, Math.max(fewestSteps, steps)) : Math.max(2, steps)
}

/** How many pairs have activations that fit into a quarter of this machine's memory: of all of it, so that a resumed run has the same chunks. */
export function chunkSizeFor(config: ModelConfig, bytes = machineMemory()): number {
  const model = buildModel(config)
  const perPair = partsOf(model)
    .map((part) => activationBytes(partCost(model, part).layers, { checkpointing: false }))
    .reduce((sum, one) => sum + one, 0)
  return Math.max(1, 2 ** Math.floor(Math.log2(Math.max(1, bytes / 4 / perPair))))
}
