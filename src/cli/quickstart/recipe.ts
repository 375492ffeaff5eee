/** The quickstart in numbers, chosen on two processor cores with libtorch 1.13; the search is in docs/log.md. */
import type { CaptionChoice } from "../../data/batches.ts"
import type { ObjectiveConfig } from "../../train/objective.ts"
import { defaultTrainConfig, type TrainConfig } from "../../train/train.ts"

/** One training; the names are of `variants` and `captioners`. */
export interface ModelRecipe {
  /** Of its folder. */
  readonly name: string
  readonly model: string
  readonly seed: number
  readonly captions: CaptionChoice
  readonly training: Omit<TrainConfig, "threads" | "seed">
}

export interface QuickstartRecipe {
  readonly scenes: {
    /** Pictures with captions from the web, as a student has them. */
    readonly noisy: number
    /** Other pictures with precise captions, from which the teachers learn. */
    readonly precise: number
    readonly test: number
    readonly retrieval: number
  }
  readonly teachers: readonly ModelRecipe[]
  readonly captioner: ModelRecipe
  readonly reinforcement: {
    /** Synthetic captions of each picture. */
    readonly captions: number
    /** Augmented views of each picture. */
    readonly views: number
    /** As `--aug-config` takes it. */
    readonly augmentation: object
    readonly objective: ObjectiveConfig
  }
  readonly student: Omit<ModelRecipe, "seed" | "name">
  /** Along each student's training. */
  readonly evaluations: number
  /** Steps of each kind by which their time is compared. */
  readonly timedSteps: number
}

const training = { ...defaultTrainConfig, saveEvery: 200 } as const

const standard: QuickstartRecipe = {
  scenes: { noisy: 4000, precise: 10_000, test: 1_500, retrieval: 500 },
  teachers: [
    {
      name: "a",
      model: "quickstart",
      seed: 101,
      captions: "precise",
      training: { ...training, batchSize: 96, steps: 420, warmupSteps: 40, learningRate: 2e-3 },
    },
    {
      name: "b",
      model: "quickstart",
      seed: 202,
      captions: "precise",
      training: { ...training, batchSize: 96, steps: 420, warmupSteps: 40, learningRate: 2e-3 },
    },
  ],
  captioner: {
    name: "captioner",
    model: "coca-quickstart",
    seed: 303,
    captions: "precise",
    training: {
      ...training,
      objective: { kind: "coca", clipWeight: 1, captionWeight: 2 },
      batchSize: 96,
      steps: 300,
      warmupSteps: 30,
      learningRate: 2e-3,
    },
  },
  reinforcement: {
    captions: 2,
    views: 4,
    augmentation: { random_resized_crop: { scale: [0.5, 1] } },
    objective: { kind: "distill", weights: [0, 1], scales: [70, 60], averageAfterSoftmax: true },
  },
  student: {
    model: "quickstart",
    captions: "web",
    training: { ...training, batchSize: 96, steps: 240, warmupSteps: 25, learningRate: 2e-3 },
  },
  evaluations: 12,
  timedSteps: 20,
}

/** A recipe with a share of the pictures and steps. */
function scaled(recipe: QuickstartRecipe, share: number): QuickstartRecipe {
  const shorter = <R extends Pick<ModelRecipe, "training">>(each: R): R => {
    const { steps, warmupSteps } = each.training
    return {
      ...each,
      training: { ...each.training, steps: Math.ceil(steps * share), warmupSteps: Math.ceil(warmupSteps * share) },
    }
  }
  return {
    ...recipe,
    scenes: { ...recipe.scenes, noisy: 2000, precise: 4000, test: 750 },
    teachers: recipe.teachers.map(shorter),
    captioner: shorter(recipe.captioner),
    student: shorter(recipe.student),
    evaluations: 8,
    timedSteps: 8,
  }
}

export const presets = { standard, small: scaled(standard, 0.3) } as const satisfies Record<string, QuickstartRecipe>

export type PresetName = keyof typeof presets
