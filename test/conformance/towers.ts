/**
 * Two small models of the family's two kinds, fixed pictures, texts and labels, and how far a runtime may be from the model as
 * it was trained. Each runtime gives the same outputs, by the library's own way (`engines.ts`).
 */
import { Random } from "../../src/core/arrays/random.ts"
import type { ClipConfig } from "../../src/core/family/variants.ts"
import { type Image8, image8 } from "../../src/core/image/pixels.ts"
import type { Preprocessing } from "../../src/core/image/preprocess.ts"
import type { ExportInfo } from "../../src/export/export.ts"
import { Clip } from "../../src/model/clip.ts"
import { initialize } from "../../src/model/module.ts"

/** What one model gives on one runtime. */
export interface Outputs {
  /** Normalised pixels of each picture [3, size, size]. */
  readonly pixels: readonly (readonly number[])[]
  /** Token ids of the texts [N, contextLength]. */
  readonly tokens: readonly number[]
  /** Unit vectors of the pictures and the texts [N, embedDim]. */
  readonly images: readonly number[]
  readonly texts: readonly number[]
  /** For each picture the labels' probabilities, in the order of the labels. */
  readonly scores: readonly (readonly number[])[]
}

/**
 * Largest differences from the model as it was trained, computed by libtorch. Vectors have length 1, so that their values are
 * about 1 / sqrt(embedDim).
 */
export const tolerances = {
  /** The same kernels, or the same code: bit for bit. */
  pixels: 0,
  tokens: 0,
  /** float32 in another order of additions, and fused: ten times what is measured, 2e-7. A wrong epsilon shows as 1e-3. */
  images: 2e-6,
  texts: 2e-6,
  /** A cosine's error, 1e-6, times the logit scale, 14 in new models, times the softmax's slope, at most 1/4; measured 1e-6. */
  scores: 5e-6,
} as const satisfies Record<keyof Outputs, number>

export interface ConformanceModel {
  readonly info: ExportInfo
  readonly config: ClipConfig
}

const text = { width: 32, heads: 2, layers: 2, activation: "gelu", contextLength: 77, vocabSize: 49408 } as const

export const models: readonly ConformanceModel[] = [
  {
    info: described("convolutional", {
      ...{ size: 64, interpolation: "bilinear", mean: [0, 0, 0], std: [1, 1, 1] },
    }),
    config: {
      ...{ embedDim: 32, imageSize: 64, headBias: true },
      image: {
        ...{ kind: "fastvit", attentionNorm: "batch", stemScaleBranch: true },
        stages: [
          { depth: 1, dim: 16, mlpRatio: 2, mixer: "repmixer" },
          { depth: 1, dim: 32, mlpRatio: 2, mixer: "attention", se: true, posEmb: true },
        ],
      },
      text: { ...text, kind: "mct", causal: false },
    },
  },
  {
    info: described("causal", {
      ...{ size: 64, interpolation: "bicubic" },
      mean: [0.48145466, 0.4578275, 0.40821073],
      std: [0.26862954, 0.26130258, 0.27577711],
    }),
    config: {
      ...{ embedDim: 32, imageSize: 64, headBias: false },
      image: { kind: "vit-conv-stem", width: 32, layers: 2, heads: 2, stemWidth: 8, stemPadding: 1, normEps: 1e-5 },
      text: { ...text, kind: "base", causal: true },
    },
  },
]

function described(name: string, preprocessing: Preprocessing): ExportInfo {
  return { name, license: "none", samplesSeen: 0, preprocessing }
}

export function build({ config }: ConformanceModel): Clip {
  const model = new Clip(config)
  initialize(model, 1)
  return model
}

/** Larger, smaller and of the tower's size. */
export const pictures: readonly Image8[] = [
  [97, 71],
  [50, 120],
  [64, 64],
].map(([width, height], i) => {
  const random = Random.of(i, "conformance picture")
  return image8(
    width!,
    height!,
    Uint8Array.from({ length: 3 * width! * height! }, () => random.uniform() * 256),
  )
})

export const texts = ["a photo of a cat.", "", "Ein  Straßencafé &amp; naïve “quotes”, 猫 and 👍🏽 ".repeat(6)]

export const labels = ["a cat", "a dog", "something else entirely"]
