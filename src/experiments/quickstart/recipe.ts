/** The quickstart in numbers, chosen on two processor cores with libtorch 1.13; the search is in docs/log.md. */
import type { CaptionChoice } from "../../data/training/config.ts"
import { defaultTrainConfig, type TrainConfig } from "../../train/train.ts"
import type { ReinforcementContext, ReinforcementRecipe } from "../comparison/reinforcement.ts"
import type { DistillationRecipe } from "../comparison/students.ts"
import type { QuickstartModelName } from "./models.ts"

/** The training of a model. */
export interface ModelRecipe {
  /** Name of its folder. */
  readonly name: string
  readonly model: QuickstartModelName
  readonly seed: number
  readonly captions: CaptionChoice
  readonly training: Omit<TrainConfig, "threads" | "seed">
}

export interface QuickstartRecipe {
  readonly scenes: {
    /** Pictures with captions like those of the web, for the students. */
    readonly noisy: number
    /** Other pictures with precise captions, from which the teachers learn. */
    readonly precise: number
    readonly test: number
    readonly retrieval: number
    /** Pictures of a shard; it divides the numbers of both. */
    readonly perShard: number
  }
  readonly teachers: readonly ModelRecipe[]
  readonly captioner: ModelRecipe
  readonly reinforcement: ReinforcementRecipe & DistillationRecipe
  readonly student: Omit<ModelRecipe, "seed" | "name">
  /** Evaluations during each training. The captioner is scored at its end alone. */
  readonly evaluations: { readonly teachers: number; readonly students: number }
  /** Steps of each kind that are timed. */
  readonly timedSteps: number
}

/** What a run of the quickstart is given; everything is written below `out`. */
export interface QuickstartOptions extends ReinforcementContext {
  readonly recipe: QuickstartRecipe
  /** Students of each kind. */
  readonly seeds: number
  /** The command line that goes on with the run, for its page. */
  readonly command: string
}

const training = { ...defaultTrainConfig, saveEvery: 200 } as const

const standard: QuickstartRecipe = {
  scenes: { noisy: 4000, precise: 6000, test: 1_500, retrieval: 500, perShard: 500 },
  teachers: [
    {
      name: "a",
      model: "quickstart-teacher-a",
      seed: 101,
      captions: "precise",
      training: { ...training, batchSize: 48, steps: 940, warmupSteps: 60, learningRate: 2e-3 },
    },
    {
      name: "b",
      model: "quickstart-teacher-b",
      seed: 202,
      captions: "precise",
      training: { ...training, batchSize: 48, steps: 940, warmupSteps: 60, learningRate: 2e-3 },
    },
  ],
  captioner: {
    name: "captioner",
    model: "quickstart-captioner",
    seed: 303,
    captions: "precise",
    training: {
      ...training,
      objective: { kind: "coca", clipWeight: 1, captionWeight: 2, sampledWords: 1024 },
      batchSize: 24,
      steps: 400,
      warmupSteps: 30,
      learningRate: 2e-3,
    },
  },
  reinforcement: {
    captions: 1,
    generationType: "greedy",
    views: 4,
    cropScale: [0.5, 1],
    objective: { kind: "distill", weights: [0, 1], averageAfterSoftmax: true },
    temperature: 1,
  },
  student: {
    model: "quickstart-student",
    captions: "web",
    training: { ...training, batchSize: 64, steps: 624, warmupSteps: 40, learningRate: 2e-3 },
  },
  evaluations: { teachers: 4, students: 12 },
  timedSteps: 12,
}

/** Every stage, too short to learn anything: to see whether all works, and for tests. */
const tiny: QuickstartRecipe = {
  ...standard,
  scenes: { noisy: 100, precise: 100, test: 200, retrieval: 50, perShard: 100 },
  teachers: standard.teachers.map((recipe) => withSteps(recipe, 5)),
  captioner: withSteps(standard.captioner, 2),
  student: withSteps(standard.student, 4),
  evaluations: { teachers: 1, students: 2 },
  timedSteps: 6,
}

function withSteps<R extends Pick<ModelRecipe, "training">>(recipe: R, steps: number): R {
  return { ...recipe, training: { ...recipe.training, steps, warmupSteps: 1 } }
}

export const presets = { standard, tiny } as const satisfies Record<string, QuickstartRecipe>

export type PresetName = keyof typeof presets
