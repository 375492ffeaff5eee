/** A model with every kind of block that exports in tenths of a second; its weights are random, so it knows nothing. */

import { writeFileSync } from "node:fs"
import { safetensorsChunks } from "../src/core/containers/safetensors.ts"
import type { ClipConfig, FastViTConfig, ModelConfig } from "../src/core/family/variants.ts"
import { type CheckpointInfo, checkpointMetadata, checkpointTensors } from "../src/model/checkpoint/checkpoint.ts"
import { Clip } from "../src/model/clip.ts"
import { initialize, type Module } from "../src/model/module.ts"

export const tinyConfig: ClipConfig = {
  embedDim: 16,
  imageSize: 64,
  headBias: true,
  image: {
    kind: "fastvit",
    attentionNorm: "batch",
    stemScaleBranch: true,
    stages: [
      { depth: 1, dim: 8, mlpRatio: 2, mixer: "repmixer" },
      { depth: 1, dim: 32, mlpRatio: 2, mixer: "attention", se: true, posEmb: true },
    ],
  },
  text: {
    kind: "base",
    width: 16,
    heads: 2,
    layers: 1,
    causal: true,
    activation: "gelu",
    contextLength: 77,
    vocabSize: 49408,
  },
}

/** For tests of training steps, which take any tokens: pictures of 32 x 32, texts of 8 of 64 tokens. */
export const toyConfig: ClipConfig = {
  ...tinyConfig,
  imageSize: 32,
  text: { ...tinyConfig.text, contextLength: 8, vocabSize: 64 },
}

/** Convolutions alone: quick to train. */
export const tinyConvolutions: FastViTConfig = {
  kind: "fastvit",
  attentionNorm: "batch",
  stemScaleBranch: false,
  stages: [
    { depth: 1, dim: 16, mlpRatio: 2, mixer: "repmixer" },
    { depth: 1, dim: 32, mlpRatio: 2, mixer: "repmixer", se: true },
  ],
}

export const tinyInfo: CheckpointInfo = {
  name: "tiny",
  config: tinyConfig,
  preprocessing: { size: 64, interpolation: "bilinear", mean: [0, 0, 0], std: [1, 1, 1] },
  license: "MIT",
  samplesSeen: 0,
}

export function tinyModel(text: Partial<ClipConfig["text"]> = {}): Clip {
  const model = new Clip({ ...tinyConfig, text: { ...tinyConfig.text, ...text } })
  initialize(model, 1)
  return model
}

/** As small as a model can be that is trained in steps: convolutions alone, 32 pixels, 16 tokens. */
const tinyTrainable: CheckpointInfo = {
  ...tinyInfo,
  config: {
    ...{ ...tinyConfig, embedDim: 32, imageSize: 32, image: tinyConvolutions },
    text: { ...tinyConfig.text, contextLength: 16 },
  },
  preprocessing: { ...tinyInfo.preprocessing, size: 32 },
}

/** The path. */
export function writeCheckpoint(
  path: string,
  model: Module = tinyModel(),
  info: CheckpointInfo<ModelConfig> = tinyInfo,
): string {
  writeFileSync(path, Buffer.concat([...safetensorsChunks(checkpointTensors(model), checkpointMetadata(info))]))
  return path
}

/** A checkpoint to train further. */
export function writeTrainable(path: string): string {
  const model = new Clip(tinyTrainable.config)
  initialize(model, 2)
  return writeCheckpoint(path, model, tinyTrainable)
}
