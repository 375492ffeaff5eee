/** A recipe as the settings of the training loop and of the loader. */
import { UserError } from "../../core/errors.ts"
import { precisionOf } from "../../core/precision.ts"
import type { TrainingDataConfig } from "../../data/training/config.ts"
import type { Settings } from "../checkpoints/state.ts"
import type { DistillationConfig, ObjectiveConfig } from "../objective.ts"
import type { TrainConfig } from "../train.ts"
import { distils, isReinforced, lossWeights, viewOf } from "./resolved.ts"
import { warmupOf } from "./run-length.ts"
import type { Recipe } from "./schema.ts"

/** @param steps as `runLength` gives them */
export function trainConfigOf(
  recipe: Recipe,
  { steps, device, threads }: Pick<TrainConfig, "steps" | "device" | "threads">,
): TrainConfig {
  const { batch, schedule, optimizer, ema, save, evaluate, seed } = recipe
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
    precision: precisionOf(recipe.precision),
    activationCheckpointing: recipe.activationCheckpointing,
    ...(ema.decay !== null && { ema: ema.decay, ...(ema.warmup && { emaWarmup: true }) }),
    ...(recipe.rangeAugment !== null && { rangeAugment: recipe.rangeAugment }),
    ...(recipe.lock.length > 0 && { locked: recipe.lock }),
    frozenStatistics: recipe.frozenStatistics,
    seed,
    device,
    ...(threads !== undefined && { threads }),
    saveEvery: save.every,
    ...(evaluate.tasks !== null && { evaluateEvery: evaluate.every }),
    data: runSettings(recipe),
  }
}

/** SigLIP's loss distils where there are teachers or stored embeddings. */
export function objectiveOf(recipe: Recipe): ObjectiveConfig {
  const { loss } = recipe
  switch (loss.kind) {
    case "clip":
      return { kind: "clip" }
    case "distill":
      return { kind: "distill", ...distillationOf(recipe) }
    case "siglip":
      return distils(recipe) ? { kind: "siglip", distill: distillationOf(recipe) } : { kind: "siglip" }
    case "coca": {
      const { contrastiveWeight: clipWeight, captionWeight, sampledWords } = loss
      return { kind: "coca", clipWeight, captionWeight, ...(sampledWords !== null && { sampledWords }) }
    }
    default:
      throw new Error(`unknown loss ${loss.kind satisfies never}`)
  }
}

/** The loader's settings that come from the recipe; the others come from the model, the machine and the launch. */
type RecipeData = Omit<
  TrainingDataConfig,
  "rank" | "ranks" | "preprocessing" | "tokenizer" | "contextLength" | "workers" | "prefetch"
>

/** Stored embeddings are read only where the loss uses them. Throws UserError where the recipe names no data. */
export function trainingDataOf(recipe: Recipe): RecipeData {
  const { data, batch, seed, teachers } = recipe
  if (data.train === null) {
    throw new UserError("data.train is missing", "name the data: --train-data 'data/{00000..00127}.tar'")
  }
  return {
    source: data.train,
    format: data.format,
    reinforced: isReinforced(recipe),
    embeddings: distils(recipe) && teachers.length === 0,
    syntheticPattern: data.syntheticPattern,
    ...(data.mixSynthetic !== null && { mixSynthetic: data.mixSynthetic }),
    ...(data.teacherWidths.length > 0 && { teacherWidths: data.teacherWidths }),
    ...(data.imageColumn !== null && { imageColumn: data.imageColumn }),
    ...(data.captionColumn !== null && { captionColumn: data.captionColumn }),
    ...(data.separator !== null && { separator: data.separator }),
    resampled: data.resampled,
    batchSize: batch.size,
    seed,
    view: viewOf(recipe),
    cropScale: data.cropScale,
    captionKey: data.captions,
    truncated: data.truncated,
    ...(data.minImageSize !== null && { minImageSize: data.minImageSize }),
    maxBadSamples: data.maxBadSamples,
    toAllowMore: "--max-bad-samples 2% (or a number)",
  }
}

function distillationOf(recipe: Recipe): DistillationConfig {
  const { teacherScales, teacherBiases, averageAfterSoftmax } = recipe.loss
  return {
    weights: lossWeights(recipe),
    scales: teacherScales,
    ...(teacherBiases.length > 0 && { biases: teacherBiases }),
    averageAfterSoftmax,
  }
}

/**
 * The settings, beside the loop's own, that must be the same when a run is resumed. The place of the data and the way it is
 * read may change. Keys that earlier versions did not have are left out where they are off, so that earlier runs can be resumed.
 */
function runSettings(recipe: Recipe): Settings {
  const { train: _, workers: __, maxBadSamples: ___, separator: ____, teacherWidths: _____, ...data } = recipe.data
  const { imageColumn, captionColumn, truncated, minImageSize, ...always } = data
  const refused = truncated === "refuse" ? { truncated } : {}
  const later = {
    imageColumn,
    captionColumn,
    minImageSize,
    ...refused,
    start: recipe.start,
    teachers: recipe.teachers.join(" ") || null,
  }
  const given = Object.entries(later).filter(([, value]) => value !== null)
  const settings = Object.entries({ ...always, view: viewOf(recipe) }).concat(given)
  return Object.fromEntries(settings.map(([key, value]) => [key, String(value)]))
}
