/** A model whose number of parameters is chosen: a small one with as many words as it takes. */
import type { ClipConfig } from "../../../src/core/family/variants.ts"
import type { CheckpointInfo } from "../../../src/model/checkpoint/checkpoint.ts"
import type { Build } from "../build.ts"

const width = 64

/** Parameters are its words times 64, and 150,000 more. */
export function infoOf(words: number): CheckpointInfo<ClipConfig> {
  const stage = { depth: 1, mlpRatio: 2, mixer: "repmixer" } as const
  const stages = [16, 32].map((dim) => ({ ...stage, dim }))
  const text = { width, heads: 2, layers: 1, causal: true, contextLength: 32, vocabSize: words } as const
  return {
    name: "growth",
    config: {
      ...{ embedDim: width, imageSize: 32, headBias: true },
      image: { kind: "fastvit", attentionNorm: "batch", stemScaleBranch: false, stages },
      text: { ...text, kind: "base", activation: "gelu" },
    },
    preprocessing: { size: 32, interpolation: "bilinear", mean: [0, 0, 0], std: [1, 1, 1] },
    license: "your own",
    samplesSeen: 0,
  }
}

export function modelModule(build: Build) {
  return build.load<typeof import("../../../src/model/checkpoint/checkpoint.ts")>(
    "src/model/checkpoint/checkpoint.js",
    "src/model/checkpoint.js",
  )
}
