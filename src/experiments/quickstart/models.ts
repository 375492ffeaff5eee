/** The models of the quickstart: two teachers and a captioner that learn from precise captions, and the student. */
import { captioners, type ModelConfig } from "../../core/family/variants.ts"
import type { CheckpointInfo } from "../../model/checkpoint/checkpoint.ts"
import { clip, fastvit, type SmallModel, untrained } from "../comparison/small-models.ts"

const { model: config, preprocessing } = captioners["quickstart-captioner"]

const quickstartModels = {
  "quickstart-teacher-a": clip(40, fastvit(32, 64, 128)),
  "quickstart-teacher-b": clip(48, fastvit(24, 48, 96)),
  "quickstart-captioner": { config, preprocessing },
  "quickstart-student": clip(40, fastvit(32, 64, 128)),
} as const satisfies Record<string, SmallModel<ModelConfig>>

export type QuickstartModelName = keyof typeof quickstartModels

/** The untrained model. */
export function infoOf(name: QuickstartModelName): CheckpointInfo<ModelConfig> {
  return untrained(name, quickstartModels[name])
}
