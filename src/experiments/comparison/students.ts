/** The same student trained plain and reinforced, at equal samples, and how they compare. */
import { join } from "node:path"
import type { ModelConfig } from "../../core/family/variants.ts"
import { efficiencyRatio, type LearningCurve, type Spread, spreadOf } from "../../evaluate/efficiency.ts"
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
  /** Learning efficiency over the seeds. */
  readonly efficiency: Spread
  /** The runs of the first seed. */
  readonly first: { readonly plain: TrainingResult; readonly reinforced: TrainingResult }
  /** Seconds of training before this process. */
  readonly earlierSeconds: number
}

export async function compareStudents(comparison: StudentComparison, context: ModelsContext): Promise<StudentResults> {
  const runs: StudentResults["first"][] = []
  for (let i = 0; i < comparison.seeds; i++) {
    const pair = [studentTraining(comparison, "plain", i), studentTraining(comparison, "reinforced", i)]
    const [plain, reinforced] = (await trainModels(pair, context)) as [TrainingResult, TrainingResult]
    runs.push({ plain, reinforced })
  }
  const [plain, reinforced] = (["plain", "reinforced"] as const).map((kind) =>
    runs.map((run) => curveOf(run[kind])),
  ) as [LearningCurve[], LearningCurve[]]
  const ratios = plain.map((curve, i) => efficiencyRatio(curve, reinforced[i]!, comparison.guessing))
  const earlier = runs.flatMap((run) => [run.plain.earlierSeconds, run.reinforced.earlierSeconds])
  return {
    ...{ plain, reinforced },
    efficiency: spreadOf(ratios),
    first: runs[0]!,
    earlierSeconds: earlier.reduce((sum, seconds) => sum + seconds, 0),
  }
}

function studentTraining(comparison: StudentComparison, kind: "plain" | "reinforced", index: number): ModelTraining {
  const { directory, info, config, tasks, objective } = comparison
  const seed = config.seed + index
  return {
    directory: join(directory, `${kind}-${seed}`),
    name: comparison.seeds > 1 ? `${kind} ${index + 1}/${comparison.seeds}` : kind,
    info,
    config: { ...config, seed, objective: kind === "plain" ? { kind: "clip" } : objective },
    pairs: comparison[kind],
    tasks,
  }
}

export function curveOf({ evaluations }: TrainingResult): LearningCurve {
  return evaluations.map(({ samplesSeen, tasks, average }) => ({ samplesSeen, tasks, average }))
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
