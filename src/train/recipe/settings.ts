/** A recipe as what the loop and the loader take. */
import type * as torch from "../../../torch/index.ts"
import { UserError } from "../../core/errors.ts"
import type { TrainingDataConfig } from "../../data/training/config.ts"
import type { DistillationConfig, ObjectiveConfig } from "../objective.ts"
import type { Settings } from "../state.ts"
import type { TrainConfig } from "../train.ts"
import { warmupOf } from "./run-length.ts"
import type { Recipe } from "./schema.ts"

export interface Place {
  /** As `runLength` gives them. */
  readonly steps: number
  readonly device: torch.Device
  readonly threads?: number
}

const precisions = { fp32: "float32", amp_bf16: "bfloat16", amp_fp16: "float16" } as const

export function trainConfigOf(recipe: Recipe, { steps, device, threads }: Place): TrainConfig {
  const { batch, schedule, optimizer, save, evaluate, seed } = recipe
  const { layerDecay, ...adamw } = optimizer
  return {
    objective: objectiveOf(recipe),
    batchSize: batch.size,
    ...(batch.chunk !== null && { chunkSize: batch.chunk }),
    steps,
    warmupSteps: warmupOf(recipe, steps),
    learningRate: schedule.learningRate,
    minLearningRate: schedule.minLearningRate,
    constantSteps: schedule.constantSteps,
    ...adamw,
    ...(layerDecay !== null && { layerDecay }),
    precision: precisions[recipe.precision],
    activationCheckpointing: recipe.activationCheckpointing,
    ...(recipe.ema !== null && { ema: recipe.ema }),
    ...(recipe.lock.length > 0 && { locked: recipe.lock }),
    frozenStatistics: recipe.frozenStatistics,
    seed,
    device,
    ...(threads !== undefined && { threads }),
    saveEvery: save.every,
    ...(evaluate.tasks !== null && { evaluateEvery: evaluate.every }),
    data: dataSettings(recipe),
  }
}

/** SigLIP's loss distils where the recipe has teachers. */
export function objectiveOf({ loss, data, teachers }: Recipe): ObjectiveConfig {
  switch (loss.kind) {
    case "clip":
      return { kind: "clip" }
    case "distill":
      return { kind: "distill", ...distillationOf(loss) }
    case "siglip": {
      const teaches = (data.reinforced || teachers.length > 0) && loss.weights[1] > 0
      return teaches ? { kind: "siglip", distill: distillationOf(loss) } : { kind: "siglip" }
    }
    case "coca":
      return { kind: "coca", clipWeight: loss.contrastiveWeight, captionWeight: loss.captionWeight }
    default:
      throw new Error(`unknown loss ${loss.kind satisfies never}`)
  }
}

/** What the loader needs beyond the recipe comes from the model, the machine and the launch. */
export type RecipeData = Omit<
  TrainingDataConfig,
  "rank" | "ranks" | "preprocessing" | "tokenizer" | "contextLength" | "workers" | "prefetch"
>

/** Throws UserError where the recipe names no data. */
export function trainingDataOf({ data, batch, seed }: Recipe): RecipeData {
  if (data.train === null) {
    throw new UserError("data.train is missing", "name the data: --train-data 'data/{00000..00127}.tar'")
  }
  return {
    source: data.train,
    format: data.format,
    // Shards called reinforced are used as such.
    reinforced: data.reinforced || data.format === "reinforced",
    syntheticPattern: data.syntheticPattern,
    ...(data.mixSynthetic !== null && { mixSynthetic: data.mixSynthetic }),
    resampled: data.resampled,
    batchSize: batch.size,
    seed,
    view: data.view,
    cropScale: data.cropScale,
    captionKey: data.captions,
    maxBadSamples: data.maxBadSamples,
  }
}

function distillationOf({
  weights,
  teacherScales,
  teacherBiases,
  averageAfterSoftmax,
}: Recipe["loss"]): DistillationConfig {
  return {
    weights,
    scales: teacherScales,
    ...(teacherBiases.length > 0 && { biases: teacherBiases }),
    averageAfterSoftmax,
  }
}

/** What a run must not be resumed with another of; where the data lies may change. */
function dataSettings({ data }: Recipe): Settings {
  const { train: _, workers: __, maxBadSamples: ___, ...kept } = data
  return Object.fromEntries(Object.entries(kept).map(([key, value]) => [key, String(value)]))
}
