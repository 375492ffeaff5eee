/** The models of the CIFAR-10 comparison: small members of the family for pictures of 32 pixels, which teachers see enlarged. */
import type { ClipConfig, FastViTConfig } from "../../core/variants.ts"
import type { CheckpointInfo } from "../../model/checkpoint.ts"
import { fastvit, narrowText, unitRange } from "../quickstart/models.ts"

interface Cifar10Model {
  readonly imageSize: number
  readonly image: FastViTConfig
}

export const cifar10Models = {
  "cifar10-teacher-a": { imageSize: 40, image: fastvit(32, 64, 128) },
  "cifar10-student": { imageSize: 32, image: fastvit(32, 64, 128) },
} as const satisfies Record<string, Cifar10Model>

export type Cifar10ModelName = keyof typeof cifar10Models

/** The untrained model. */
export function cifar10Info(name: Cifar10ModelName): CheckpointInfo<ClipConfig> {
  const { imageSize, image } = cifar10Models[name]
  const config = { imageSize, embedDim: 128, image, text: narrowText, headBias: true }
  return { name, config, preprocessing: unitRange(imageSize), license: "MIT", samplesSeen: 0 }
}
