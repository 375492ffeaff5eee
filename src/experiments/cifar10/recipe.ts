/** The CIFAR-10 comparison in numbers. How they were chosen is in docs/log.md. */
import { defaultTrainConfig, type TrainConfig } from "../../train/train.ts"
import type { ReinforcementRecipe } from "../comparison/reinforcement.ts"
import type { DistillationRecipe } from "../comparison/students.ts"
import type { CaptionMix } from "./captions.ts"
import type { Cifar10ModelName } from "./models.ts"

type Training = Omit<TrainConfig, "threads" | "seed">

/** The training of a model on precise captions. */
export interface TeacherRecipe {
  /** Name of its folder. */
  readonly name: string
  readonly model: Cifar10ModelName
  readonly seed: number
  readonly training: Training
}

export interface Cifar10Recipe {
  readonly pictures: {
    /** Pictures with careless captions, for the students: the first ones of each class. */
    readonly unique: number
    /** Pictures with precise captions, for the teachers and the captioner: the next ones of each class. */
    readonly precise: number
  }
  readonly captions: CaptionMix
  readonly teachers: readonly TeacherRecipe[]
  readonly captioner: TeacherRecipe
  /** Teachers learn from crops of its scale, too. */
  readonly reinforcement: ReinforcementRecipe & DistillationRecipe
  readonly student: { readonly model: Cifar10ModelName; readonly training: Training }
  /** Evaluations during each student's training. */
  readonly evaluations: number
}

const training = { ...defaultTrainConfig, saveEvery: 100, learningRate: 2e-3 } as const

const standard: Cifar10Recipe = {
  pictures: { unique: 5000, precise: 45_000 },
  captions: { named: 0.35, otherName: 0.15, wrongName: 0.1, fileName: 0.2, boilerplate: 0.2 },
  teachers: [
    {
      name: "a",
      model: "cifar10-teacher-a",
      seed: 101,
      training: { ...training, batchSize: 128, steps: 1200, warmupSteps: 50 },
    },
  ],
  captioner: {
    name: "captioner",
    model: "cifar10-captioner",
    seed: 303,
    training: {
      ...training,
      objective: { kind: "coca", clipWeight: 1, captionWeight: 2, sampledWords: 1024 },
      batchSize: 32,
      steps: 400,
      warmupSteps: 30,
    },
  },
  reinforcement: {
    captions: 1,
    generationType: "greedy",
    views: 6,
    cropScale: [0.5, 1],
    objective: { kind: "distill", weights: [0, 1], averageAfterSoftmax: true },
    temperature: 1,
  },
  student: { model: "cifar10-student", training: { ...training, batchSize: 64, steps: 900, warmupSteps: 50 } },
  evaluations: 18,
}

/** A third of the steps, and fewer pictures. */
const small: Cifar10Recipe = {
  ...standard,
  pictures: { unique: 2000, precise: 20_000 },
  teachers: standard.teachers.map((teacher) => ({ ...teacher, training: shorter(teacher.training) })),
  captioner: { ...standard.captioner, training: shorter(standard.captioner.training) },
  student: { ...standard.student, training: shorter(standard.student.training) },
  evaluations: 6,
}

function shorter(config: Training): Training {
  return { ...config, steps: Math.ceil(config.steps / 3), warmupSteps: Math.ceil(config.warmupSteps / 3) }
}

export const presets = { standard, small } as const satisfies Record<string, Cifar10Recipe>

export type PresetName = keyof typeof presets
