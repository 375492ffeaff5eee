/**
 * Small members of the family that a comparison trains from scratch in minutes: for pictures of 32 to 64 pixels and captions
 * of up to 32 tokens. The search for them is in docs/log.md.
 */

import type { ClipConfig, CocaConfig, FastViTConfig, ModelConfig, TextTowerConfig } from "../../core/family/variants.ts"
import type { Preprocessing } from "../../core/image/preprocess.ts"
import type { CheckpointInfo } from "../../model/checkpoint/checkpoint.ts"

/** A model that a comparison trains. */
export interface SmallModel<Config extends ModelConfig> {
  readonly config: Config
  readonly preprocessing: Preprocessing
}

/** Three stages of one RepMixer block, and no 1x1 branches in the stem, which is most of the work at these sizes. */
export const fastvit = (first: number, second: number, third: number): FastViTConfig => ({
  kind: "fastvit",
  attentionNorm: "batch",
  stemScaleBranch: false,
  stages: [
    { depth: 1, dim: first, mlpRatio: 3, mixer: "repmixer" },
    { depth: 1, dim: second, mlpRatio: 3, mixer: "repmixer" },
    { depth: 1, dim: third, mlpRatio: 3, mixer: "repmixer", se: true },
  ],
})

/** A narrow text tower, because every step updates the table of 49,408 words. */
const narrowText = {
  kind: "base",
  width: 64,
  heads: 2,
  layers: 2,
  causal: true,
  activation: "gelu",
  contextLength: 32,
  vocabSize: 49408,
} as const satisfies TextTowerConfig

const unitRange = (size: number): Preprocessing => ({
  size,
  interpolation: "bilinear",
  mean: [0, 0, 0],
  std: [1, 1, 1],
})

export const clip = (imageSize: number, image: FastViTConfig): SmallModel<ClipConfig> => ({
  config: { imageSize, embedDim: 128, image, text: narrowText, headBias: true },
  preprocessing: unitRange(imageSize),
})

export const captioner = (imageSize: number, image: FastViTConfig): SmallModel<CocaConfig> => ({
  config: {
    imageSize,
    embedDim: 64,
    image,
    pooler: { queries: 9, heads: 2 },
    text: { ...narrowText, layers: 1 },
    decoder: { layers: 1, heads: 2 },
  },
  preprocessing: unitRange(imageSize),
})

/** The untrained model. */
export function untrained(
  name: string,
  { config, preprocessing }: SmallModel<ModelConfig>,
): CheckpointInfo<ModelConfig> {
  return { name, config, preprocessing, license: "your own", samplesSeen: 0 }
}
