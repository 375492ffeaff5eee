/** The models of the CIFAR-10 comparison: small members of the family for pictures of 32 pixels. The teacher and the captioner see them enlarged. */
import type { ModelConfig } from "../../core/family/variants.ts"
import type { CheckpointInfo } from "../../model/checkpoint/checkpoint.ts"
import { captioner, clip, fastvit, type SmallModel, untrained } from "../comparison/small-models.ts"

const image = fastvit(32, 64, 128)

const cifar10Models = {
  "cifar10-teacher-a": clip(64, image),
  "cifar10-captioner": captioner(64, image),
  "cifar10-student": clip(32, image),
} as const satisfies Record<string, SmallModel<ModelConfig>>

export type Cifar10ModelName = keyof typeof cifar10Models

/** The untrained model. */
export function cifar10Info(name: Cifar10ModelName): CheckpointInfo<ModelConfig> {
  return untrained(name, cifar10Models[name])
}
