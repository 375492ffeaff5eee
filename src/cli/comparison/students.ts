/** The same student trained plain and reinforced, at equal samples, and how they compare. */
import { join } from "node:path"
import type { ModelConfig } from "../../core/variants.ts"
import { efficiencyRatio, type LearningCurve, type Spread, spreadOf } from "../../evaluate/efficiency.ts"
import type { CheckpointInfo } from "../../model/checkpoint.ts"
import type { ObjectiveConfig } from "../../train/objective.ts"
import type { LiveModel, TrainConfig } from "../../train/train.ts"
import type { Scores, TrainingResult } from "../training.ts"
import { type PairSource, type TrainingContext, trainModel } from "./train-model.ts"

export interface StudentComparison {
  /** A folder for each student is made in it. */
  readonly directory: string
  readonly info: CheckpointInfo<ModelConfig>
  /** Of both; `seed` is the first student's. */
  readonly config: TrainConfig
  readonly seeds: number
  readonly plain: PairSource
  readonly reinforced: PairSource
  /** Of the reinforced one; the other's is contrastive. */
  readonly objective: ObjectiveConfig
  readonly evaluate: (live: LiveModel) => Promise<Scores>
  /** The average of guessing. */
  readonly guessing: number
}

export interface StudentResults {
  /** A curve for each seed. */
  readonly plain: readonly LearningCurve[]
  readonly reinforced: readonly LearningCurve[]
  /** Over the seeds. */
  readonly efficiency: Spread
  /** Of the first seed. */
  readonly first: { readonly plain: TrainingResult; readonly reinforced: TrainingResult }
  /** Seconds of training before this process. */
  readonly earlierSeconds: number
}

export async function compareStudents(
  comparison: StudentComparison,
  context: TrainingContext,
): Promise<StudentResults> {
  const runs: StudentResults["first"][] = []
  for (let i = 0; i < comparison.seeds; i++) {
    const plain = await trainStudent(comparison, "plain", i, context)
    runs.push({ plain, reinforced: await trainStudent(comparison, "reinforced", i, context) })
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

function trainStudent(
  comparison: StudentComparison,
  kind: "plain" | "reinforced",
  index: number,
  context: TrainingContext,
): Promise<TrainingResult> {
  const { directory, info, config, evaluate, objective } = comparison
  const seed = config.seed + index
  const training = {
    directory: join(directory, `${kind}-${seed}`),
    name: `student ${kind}${comparison.seeds > 1 ? ` ${index + 1}/${comparison.seeds}` : ""}`,
    info,
    config: { ...config, seed, objective: kind === "plain" ? ({ kind: "clip" } as const) : objective },
    pairs: comparison[kind],
    evaluate,
  }
  return trainModel(training, context)
}

export function curveOf({ evaluations }: TrainingResult): LearningCurve {
  return evaluations.map(({ samplesSeen, tasks, average }) => ({ samplesSeen, tasks, average }))
}
