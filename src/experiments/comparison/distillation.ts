/** What a reinforced student of a comparison minimises. */
import type { ObjectiveConfig } from "../../train/objective.ts"
import type { TrainingResult } from "../../train/run/run-directory.ts"

export interface DistillationRecipe {
  /** The teachers' scales are their own, over the temperature. */
  readonly objective: Omit<Extract<ObjectiveConfig, { kind: "distill" }>, "scales">
  readonly temperature: number
}

/** A teacher's distributions mean most near the scale it was trained with. */
export function distillation(
  { objective, temperature }: DistillationRecipe,
  teachers: readonly TrainingResult[],
): ObjectiveConfig {
  return { ...objective, scales: teachers.map(({ steps }) => steps.at(-1)!.logitScale / temperature) }
}
