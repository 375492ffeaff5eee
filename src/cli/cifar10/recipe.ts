/** The CIFAR-10 comparison in numbers. They are first guesses, not tuned: docs/log.md has what they gave. */
import type { ObjectiveConfig } from "../../train/objective.ts"
import { defaultTrainConfig, type TrainConfig } from "../../train/train.ts"
import type { CaptionMix } from "./captions.ts"
import type { Cifar10ModelName } from "./models.ts"

type Training = Omit<TrainConfig, "threads" | "seed">

export interface Cifar10Recipe {
  readonly pictures: {
    /** With careless captions, for the students: the first of each class. */
    readonly unique: number
    /** With precise captions, for the teachers: the next of each class. */
    readonly precise: number
  }
  readonly captions: CaptionMix
  readonly teachers: readonly {
    readonly name: string
    readonly model: Cifar10ModelName
    readonly seed: number
    readonly training: Training
  }[]
  /** Share of a picture's area that teachers see in training. */
  readonly cropScale: readonly [number, number]
  readonly reinforcement: {
    /** Augmented views of each picture. */
    readonly views: number
    /** As `--aug-config` takes it. */
    readonly augmentation: object
    /** The teachers' scales are their own, over the temperature. */
    readonly objective: Omit<Extract<ObjectiveConfig, { kind: "distill" }>, "scales">
    readonly temperature: number
  }
  readonly student: { readonly model: Cifar10ModelName; readonly training: Training }
  /** Along each student's training. */
  readonly evaluations: number
}

const training = { ...defaultTrainConfig, batchSize: 128, saveEvery: 100, learningRate: 2e-3 } as const
const teacherTraining = { ...training, steps: 700, warmupSteps: 50 } as const

const standard: Cifar10Recipe = {
  pictures: { unique: 5000, precise: 45_000 },
  captions: { named: 0.35, otherName: 0.15, wrongName: 0.1, fileName: 0.2, boilerplate: 0.2 },
  teachers: [{ name: "a", model: "cifar10-teacher-a", seed: 101, training: teacherTraining }],
  cropScale: [0.5, 1],
  reinforcement: {
    views: 4,
    augmentation: { random_resized_crop: { scale: [0.5, 1] } },
    objective: { kind: "distill", weights: [0, 1], averageAfterSoftmax: true },
    temperature: 1,
  },
  student: { model: "cifar10-student", training: { ...training, batchSize: 64, steps: 900, warmupSteps: 50 } },
  evaluations: 9,
}

/** A third of the steps, and fewer pictures. */
const small: Cifar10Recipe = {
  ...standard,
  pictures: { unique: 2000, precise: 20_000 },
  teachers: standard.teachers.map((teacher) => ({ ...teacher, training: shorter(teacher.training) })),
  student: { ...standard.student, training: shorter(standard.student.training) },
  evaluations: 6,
}

function shorter(config: Training): Training {
  return { ...config, steps: Math.ceil(config.steps / 3), warmupSteps: Math.ceil(config.warmupSteps / 3) }
}

export const presets = { standard, small } as const satisfies Record<string, Cifar10Recipe>

export type PresetName = keyof typeof presets
