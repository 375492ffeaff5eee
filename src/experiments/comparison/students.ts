/** The same student trained plain and reinforced, at equal samples, and how they compare. */
import { join } from "node:path"
import type { ModelConfig } from "../../core/family/variants.ts"
import { type LearningCurve, type LearningEfficiency, learningEfficiency } from "../../evaluate/efficiency.ts"
import type { CheckpointInfo } from "../../model/checkpoint/checkpoint.ts"
import type { ObjectiveConfig } from "../../train/objective.ts"
import type { TrainingResult } from "../../train/run/run-directory.ts"
import type { TrainConfig } from "../../train/train.ts"
import type { ModelTraining, PairSource } from "./train-model.ts"
import { type ModelsContext, trainModels } from "./train-models.ts"

export interface StudentComparison {
  /** A folder for each student is made in it. */
  readonly directory: string
  readonly info: CheckpointInfo<ModelConfig>
  /** Settings of both kinds; `seed` is that of the first student. */
  readonly config: TrainConfig
  readonly seeds: number
  /** Shares of the samples for which further plain students are scheduled: their learning rate ends there. */
  readonly scheduled: readonly number[]
  readonly plain: PairSource
  readonly reinforced: PairSource
  /** The objective of reinforced students; that of plain ones is contrastive. */
  readonly objective: ObjectiveConfig
  /** A task list that is scored along the way. */
  readonly tasks: string
  /** The average accuracy of guessing. */
  readonly guessing: number
}

export interface StudentResults {
  /** A curve for each seed. */
  readonly plain: readonly LearningCurve[]
  readonly reinforced: readonly LearningCurve[]
  readonly efficiency: LearningEfficiency
  /** The runs of the first seed. */
  readonly first: { readonly plain: TrainingResult; readonly reinforced: TrainingResult }
  /** Seconds of training before this process. */
  readonly earlierSeconds: number
}

/** From so many seeds on, plain students are also scheduled for a quarter and for half of the samples. */
const seedsForSchedules = 3

export function scheduledShares(seeds: number): readonly number[] {
  return seeds >= seedsForSchedules ? [1 / 4, 1 / 2] : []
}

export async function compareStudents(comparison: StudentComparison, context: ModelsContext): Promise<StudentResults> {
  const runs: StudentResults["first"][] = []
  const shorter: TrainingResult[][] = []
  for (let i = 0; i < comparison.seeds; i++) {
    const pair = [plainTraining(comparison, i), reinforcedTraining(comparison, i)]
    const [plain, reinforced] = (await trainModels(pair, context)) as [TrainingResult, TrainingResult]
    runs.push({ plain, reinforced })
    const trainings = comparison.scheduled.map((share) => plainTraining(comparison, i, share))
    shorter.push(trainings.length > 0 ? await trainModels(trainings, context) : [])
  }
  const plain = runs.map((run) => curveOf(run.plain))
  const reinforced = runs.map((run) => curveOf(run.reinforced))
  const scheduled = comparison.scheduled.map((share, k) => ({ share, curves: shorter.map((all) => curveOf(all[k]!)) }))
  const all = [...runs.flatMap((run) => [run.plain, run.reinforced]), ...shorter.flat()]
  return {
    ...{ plain, reinforced },
    efficiency: learningEfficiency({
      ...{ plain, reinforced, guessing: comparison.guessing },
      // The whole run is the last of them.
      scheduled: scheduled.length > 0 ? [...scheduled, { share: 1, curves: plain }] : [],
    }),
    first: runs[0]!,
    earlierSeconds: all.reduce((sum, { earlierSeconds }) => sum + earlierSeconds, 0),
  }
}

/** @param share of the steps, and of the warm-up */
function plainTraining(comparison: StudentComparison, index: number, share = 1): ModelTraining {
  const training = { ...studentTraining(comparison, "plain", index), pairs: comparison.plain }
  if (share === 1) return training
  const steps = Math.ceil(share * training.config.steps)
  const warmupSteps = Math.ceil(share * training.config.warmupSteps)
  return {
    ...training,
    directory: `${training.directory}-of-${steps}-steps`,
    name: `${training.name}, ${steps} steps`,
    config: { ...training.config, steps, warmupSteps, evaluateEvery: steps },
  }
}

function reinforcedTraining(comparison: StudentComparison, index: number): ModelTraining {
  const training = studentTraining(comparison, "reinforced", index)
  return { ...training, pairs: comparison.reinforced, config: { ...training.config, objective: comparison.objective } }
}

function studentTraining({ directory, info, config, tasks, seeds }: StudentComparison, kind: string, index: number) {
  const seed = config.seed + index
  return {
    directory: join(directory, `${kind}-${seed}`),
    name: seeds > 1 ? `${kind} ${index + 1}/${seeds}` : kind,
    info,
    config: { ...config, seed, objective: { kind: "clip" } },
    tasks,
  } satisfies Omit<ModelTraining, "pairs">
}

/** Scores along a run, with the time that its steps took until then. */
export function curveOf({ steps, evaluations }: Pick<TrainingResult, "steps" | "evaluations">): LearningCurve {
  return evaluations.map(({ step, samplesSeen, tasks, average }) => {
    const seconds = steps.reduce((sum, each) => (each.step <= step ? sum + each.seconds : sum), 0)
    return { samplesSeen, seconds, tasks, average }
  })
}

// -------------------------------------------------------------------------------------------------- objective

export interface DistillationRecipe {
  /** The teachers' scales are their own, over the temperature. */
  readonly objective: Omit<Extract<ObjectiveConfig, { kind: "distill" }>, "scales">
  readonly temperature: number
}

/** Distillation, with the scales that the teachers were trained with: near these their distributions are most informative. */
export function distillation(
  { objective, temperature }: DistillationRecipe,
  teachers: readonly TrainingResult[],
): ObjectiveConfig {
  return { ...objective, scales: teachers.map(({ steps }) => steps.at(-1)!.logitScale / temperature) }
}
