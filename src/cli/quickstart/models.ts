/** The models of the quickstart's loop: two teachers and a captioner that see precise captions, and the student. */
import type { ModelConfig } from "../../core/variants.ts"
import type { CheckpointInfo } from "../../model/checkpoint.ts"
import { captioner, clip, fastvit, type SmallModel, untrained } from "../comparison/small-models.ts"

export const quickstartModels = {
  "quickstart-teacher-a": clip(40, fastvit(32, 64, 128)),
  "quickstart-teacher-b": clip(48, fastvit(24, 48, 96)),
  "quickstart-captioner": captioner(40, fastvit(32, 64, 128)),
  "quickstart-student": clip(40, fastvit(32, 64, 128)),
} as const satisfies Record<string, SmallModel<ModelConfig>>

export type QuickstartModelName = keyof typeof quickstartModels

/** The untrained model. */
export function infoOf(name: QuickstartModelName): CheckpointInfo<ModelConfig> {
  return untrained(name, quickstartModels[name])
}
