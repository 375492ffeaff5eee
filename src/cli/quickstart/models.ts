/**
 * The models of the quickstart's loop: two teachers and a captioner that see precise captions, and the student. All are
 * small members of the family, for scenes of 40 and 48 pixels and captions of up to 32 tokens; the search for them is in
 * docs/log.md.
 */
import type { Preprocessing } from "../../core/preprocess.ts"
import {
  type ClipConfig,
  type CocaConfig,
  captioners,
  type FastViTConfig,
  type ModelConfig,
  type TextTowerConfig,
} from "../../core/variants.ts"
import type { CheckpointInfo } from "../../model/checkpoint.ts"

export interface QuickstartModel<Config> {
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

/** Narrow, because every step updates the table of 49,408 words. */
export const narrowText = {
  kind: "base",
  width: 64,
  heads: 2,
  layers: 2,
  causal: true,
  activation: "gelu",
  contextLength: 32,
  vocabSize: 49408,
} as const satisfies TextTowerConfig

export const unitRange = (size: number): Preprocessing => ({
  size,
  interpolation: "bilinear",
  mean: [0, 0, 0],
  std: [1, 1, 1],
})

const clip = (imageSize: number, image: FastViTConfig): QuickstartModel<ClipConfig> => ({
  config: { imageSize, embedDim: 128, image, text: narrowText, headBias: true },
  preprocessing: unitRange(imageSize),
})

const { model: config, preprocessing } = captioners["quickstart-captioner"]
const captioner: QuickstartModel<CocaConfig> = { config, preprocessing }

export const quickstartModels = {
  "quickstart-teacher-a": clip(40, fastvit(32, 64, 128)),
  "quickstart-teacher-b": clip(48, fastvit(24, 48, 96)),
  "quickstart-captioner": captioner,
  "quickstart-student": clip(40, fastvit(32, 64, 128)),
} as const satisfies Record<string, QuickstartModel<ModelConfig>>

export type QuickstartModelName = keyof typeof quickstartModels

/** The untrained model. */
export function infoOf(name: QuickstartModelName): CheckpointInfo<ModelConfig> {
  const { config, preprocessing } = quickstartModels[name]
  return { name, config, preprocessing, license: "MIT", samplesSeen: 0 }
}
