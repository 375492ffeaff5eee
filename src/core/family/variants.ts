/**
 * The MobileCLIP family as data: one row per stage, one entry per released model. No functions beyond the tables'
 * types, so the browser can read it too.
 *
 * Sources: MobileCLIP (CVPR 2024), MobileCLIP2 (TMLR 2025), apple/ml-mobileclip@4144bb1 (`mobileclip/configs`,
 * `mobileclip2/model_configs`), timm fastvit.py, open_clip@89fb801 (`model_configs`, `pretrained.py`). Parameter counts of
 * every row are tested against the references.
 */

import type { Preprocessing } from "../image/preprocess.ts"

export interface Stage {
  readonly depth: number
  /** Output channels of the stage. */
  readonly dim: number
  readonly mlpRatio: number
  readonly mixer: "repmixer" | "attention"
  /** Squeeze-excite in the stage's downsampling layer. */
  readonly se?: boolean
  /** Conditional positional encoding (7x7 depthwise) before the blocks. */
  readonly posEmb?: boolean
}

export interface FastViTConfig {
  readonly kind: "fastvit"
  /** Normalization before attention: batch norm, or layer norm over the channels of each pixel (eps 1e-5). */
  readonly attentionNorm: "batch" | "layer"
  /** 1x1 branch in the stem's MobileOne blocks. */
  readonly stemScaleBranch: boolean
  readonly stages: readonly Stage[]
}

/** Exact GELU, or OpenAI's x * sigmoid(1.702 x). */
export type Activation = "gelu" | "quick-gelu"

/** ViT-B/16 with a convolutional stem. Apple's and timm's are two functions of the same weights. */
export interface VitConvStemConfig {
  readonly kind: "vit-conv-stem"
  readonly width: number
  readonly layers: number
  readonly heads: number
  /** Channels of the first two convolutions. */
  readonly stemWidth: number
  /** Zero padding of the first 4x4 convolution: 1 in Apple's code, 0 in timm's. */
  readonly stemPadding: 0 | 1
  /** The epsilon of every layer norm: 1e-5 in Apple's code, 1e-6 in timm's. */
  readonly normEps: 1e-5 | 1e-6
}

/** CLIP's ViT (open_clip's and timm's are one function): class token, norms before and after the blocks, eps 1e-5. */
export interface VitConfig {
  readonly kind: "vit"
  readonly width: number
  readonly layers: number
  readonly heads: number
  readonly patchSize: number
  readonly activation: Activation
}

export type ImageTowerConfig = FastViTConfig | VitConvStemConfig | VitConfig

export interface TextTowerConfig {
  /** `mct`: a RepMixer block (1 x 11 kernels over the tokens) before and after the transformer blocks. */
  readonly kind: "base" | "mct"
  readonly width: number
  readonly heads: number
  /** Transformer blocks; `mct` adds its two convolutional ones. */
  readonly layers: number
  readonly causal: boolean
  readonly activation: Activation
  readonly contextLength: number
  readonly vocabSize: number
}

/** An image tower alone, as timm publishes them. */
export interface ImageEncoderConfig {
  readonly embedDim: number
  /** Height and width of the input in pixels. */
  readonly imageSize: number
  readonly image: ImageTowerConfig
  /** Bias in the image tower's projection: absent in Apple's v1 code and open_clip's own ViT, present in timm's towers. */
  readonly headBias: boolean
}

export interface ClipConfig extends ImageEncoderConfig {
  readonly text: TextTowerConfig
  /** Trained with SigLIP's loss, which adds a learned bias to scaled similarities; no released model of the family is. */
  readonly logitBias?: true | undefined
}

/**
 * CoCa: an attentional pooler after the image tower, a class token after the text, and a decoder that writes captions.
 * Pooler, text tower and decoder are `embedDim` wide.
 */
export interface CocaConfig {
  readonly embedDim: number
  readonly imageSize: number
  /** Released ones have a ViT. FastViT's last feature map, a token per pixel, learns from fewer pictures. */
  readonly image: VitConfig | FastViTConfig
  /** Query 0 gives the image's embedding, the others the tokens that the decoder sees. */
  readonly pooler: { readonly queries: number; readonly heads: number }
  /** Causal; `contextLength` counts the tokens without the class token. */
  readonly text: TextTowerConfig
  /** Pairs of a block over the text and one over the image. */
  readonly decoder: { readonly layers: number; readonly heads: number }
}

export type ModelConfig = ClipConfig | CocaConfig

export interface Variant {
  readonly model: ClipConfig
  /** Applied to a picture before the tower sees it; saved with every checkpoint and model directory. */
  readonly preprocessing: Preprocessing
  /** Whose state-dict names the released file uses. */
  readonly keys: "apple" | "openclip" | "clip"
  /** Image-text pairs seen in training, in billions; null where it is not one figure. */
  readonly samplesSeen: number | null
}

/** A captioner; its files use open_clip's CoCa names. */
interface Captioner {
  readonly model: CocaConfig
  readonly preprocessing: Preprocessing
}

// ------------------------------------------------------------------------------------------------ image towers

export const imageTowers = {
  mci0: {
    kind: "fastvit",
    attentionNorm: "batch",
    stemScaleBranch: true,
    stages: [
      { depth: 2, dim: 64, mlpRatio: 3, mixer: "repmixer" },
      { depth: 6, dim: 128, mlpRatio: 3, mixer: "repmixer" },
      { depth: 10, dim: 256, mlpRatio: 3, mixer: "repmixer", se: true },
      { depth: 2, dim: 512, mlpRatio: 3, mixer: "attention", se: true, posEmb: true },
    ],
  },
  mci1: {
    kind: "fastvit",
    attentionNorm: "batch",
    stemScaleBranch: true,
    stages: [
      { depth: 4, dim: 64, mlpRatio: 3, mixer: "repmixer" },
      { depth: 12, dim: 128, mlpRatio: 3, mixer: "repmixer" },
      { depth: 20, dim: 256, mlpRatio: 3, mixer: "repmixer", se: true },
      { depth: 4, dim: 512, mlpRatio: 3, mixer: "attention", se: true, posEmb: true },
    ],
  },
  mci2: {
    kind: "fastvit",
    attentionNorm: "batch",
    stemScaleBranch: true,
    stages: [
      { depth: 4, dim: 80, mlpRatio: 3, mixer: "repmixer" },
      { depth: 12, dim: 160, mlpRatio: 3, mixer: "repmixer" },
      { depth: 24, dim: 320, mlpRatio: 3, mixer: "repmixer", se: true },
      { depth: 4, dim: 640, mlpRatio: 3, mixer: "attention", se: true, posEmb: true },
    ],
  },
  mci3: {
    kind: "fastvit",
    attentionNorm: "layer",
    stemScaleBranch: false,
    stages: [
      { depth: 2, dim: 96, mlpRatio: 4, mixer: "repmixer" },
      { depth: 12, dim: 192, mlpRatio: 4, mixer: "repmixer" },
      { depth: 24, dim: 384, mlpRatio: 4, mixer: "repmixer" },
      { depth: 4, dim: 768, mlpRatio: 4, mixer: "attention", posEmb: true },
      { depth: 2, dim: 1536, mlpRatio: 4, mixer: "attention", posEmb: true },
    ],
  },
  mci4: {
    kind: "fastvit",
    attentionNorm: "layer",
    stemScaleBranch: false,
    stages: [
      { depth: 2, dim: 128, mlpRatio: 4, mixer: "repmixer" },
      { depth: 12, dim: 256, mlpRatio: 4, mixer: "repmixer" },
      { depth: 24, dim: 512, mlpRatio: 4, mixer: "repmixer" },
      { depth: 4, dim: 1024, mlpRatio: 4, mixer: "attention", posEmb: true },
      { depth: 4, dim: 2048, mlpRatio: 4, mixer: "attention", posEmb: true },
    ],
  },
  "vit-b16-apple": {
    kind: "vit-conv-stem",
    width: 768,
    layers: 12,
    heads: 12,
    stemWidth: 192,
    stemPadding: 1,
    normEps: 1e-5,
  },
  "vit-b16-timm": {
    kind: "vit-conv-stem",
    width: 768,
    layers: 12,
    heads: 12,
    stemWidth: 192,
    stemPadding: 0,
    normEps: 1e-6,
  },
  "vit-b16": { kind: "vit", width: 768, layers: 12, heads: 12, patchSize: 16, activation: "gelu" },
  "vit-b16-quickgelu": { kind: "vit", width: 768, layers: 12, heads: 12, patchSize: 16, activation: "quick-gelu" },
  "vit-b32": { kind: "vit", width: 768, layers: 12, heads: 12, patchSize: 32, activation: "gelu" },
  "vit-b32-quickgelu": { kind: "vit", width: 768, layers: 12, heads: 12, patchSize: 32, activation: "quick-gelu" },
  "vit-l14": { kind: "vit", width: 1024, layers: 24, heads: 16, patchSize: 14, activation: "gelu" },
  "vit-l14-quickgelu": { kind: "vit", width: 1024, layers: 24, heads: 16, patchSize: 14, activation: "quick-gelu" },
  // Not released: small enough to learn the scenes dataset in minutes on two processor cores.
  quickstart: {
    kind: "fastvit",
    attentionNorm: "batch",
    stemScaleBranch: true,
    stages: [
      { depth: 1, dim: 32, mlpRatio: 3, mixer: "repmixer" },
      { depth: 2, dim: 64, mlpRatio: 3, mixer: "repmixer" },
      { depth: 1, dim: 128, mlpRatio: 3, mixer: "repmixer", se: true },
    ],
  },
  // The same for the quickstart's captioner.
  "quickstart-captioner": {
    kind: "fastvit",
    attentionNorm: "batch",
    stemScaleBranch: false,
    stages: [
      { depth: 1, dim: 32, mlpRatio: 3, mixer: "repmixer" },
      { depth: 1, dim: 64, mlpRatio: 3, mixer: "repmixer" },
      { depth: 1, dim: 128, mlpRatio: 3, mixer: "repmixer", se: true },
    ],
  },
} as const satisfies Record<string, ImageTowerConfig>

// ------------------------------------------------------------------------------------------------- text towers

const clipText = { activation: "gelu", contextLength: 77, vocabSize: 49408 } as const

export const textTowers = {
  base: { ...clipText, kind: "base", width: 512, heads: 8, layers: 12, causal: false },
  "base-causal": { ...clipText, kind: "base", width: 512, heads: 8, layers: 12, causal: true },
  "base-causal-quickgelu": {
    ...clipText,
    activation: "quick-gelu",
    kind: "base",
    width: 512,
    heads: 8,
    layers: 12,
    causal: true,
  },
  "base-768": { ...clipText, kind: "base", width: 768, heads: 12, layers: 12, causal: false },
  "base-768-causal": { ...clipText, kind: "base", width: 768, heads: 12, layers: 12, causal: true },
  "base-768-quickgelu": {
    ...clipText,
    activation: "quick-gelu",
    kind: "base",
    width: 768,
    heads: 12,
    layers: 12,
    causal: true,
  },
  coca: { ...clipText, kind: "base", width: 768, heads: 12, layers: 12, causal: true, contextLength: 76 },
  mct: { ...clipText, kind: "mct", width: 512, heads: 8, layers: 4, causal: false },
  quickstart: { ...clipText, kind: "base", width: 128, heads: 4, layers: 2, causal: true },
  "quickstart-captioner": {
    ...clipText,
    kind: "base",
    width: 64,
    heads: 2,
    layers: 1,
    causal: true,
    contextLength: 32,
  },
} as const satisfies Record<string, TextTowerConfig>

// ---------------------------------------------------------------------------------------------------- variants

const unit = { mean: [0, 0, 0], std: [1, 1, 1] } as const
const openai = { mean: [0.48145466, 0.4578275, 0.40821073], std: [0.26862954, 0.26130258, 0.27577711] } as const

const bilinear256 = { size: 256, interpolation: "bilinear", ...unit } as const
const bilinear224 = { size: 224, interpolation: "bilinear", ...unit } as const
const normalized256 = { size: 256, interpolation: "bilinear", ...openai } as const
const normalized224 = { size: 224, interpolation: "bicubic", ...openai } as const
const bicubic256 = { size: 256, interpolation: "bicubic", ...openai } as const

const s = { imageSize: 256, embedDim: 512 } as const
const clipB = { embedDim: 512, imageSize: 224, text: textTowers["base-causal"], headBias: false } as const
const large = { imageSize: 256, embedDim: 768, text: textTowers["base-768"], headBias: true } as const

const models = {
  s0: { ...s, image: imageTowers.mci0, text: textTowers.mct, headBias: false },
  s0v2: { ...s, image: imageTowers.mci0, text: textTowers.base, headBias: true },
  s1: { ...s, image: imageTowers.mci1, text: textTowers.base, headBias: false },
  s2: { ...s, image: imageTowers.mci2, text: textTowers.base, headBias: false },
  s2v2: { ...s, image: imageTowers.mci2, text: textTowers.base, headBias: true },
  b: { ...s, imageSize: 224, image: imageTowers["vit-b16-apple"], text: textTowers["base-causal"], headBias: false },
  bv2: { ...s, imageSize: 224, image: imageTowers["vit-b16-timm"], text: textTowers["base-causal"], headBias: true },
  s3: { ...large, image: imageTowers.mci3 },
  s4: { ...large, image: imageTowers.mci4 },
  l14: { ...large, imageSize: 224, image: imageTowers["vit-l14"] },
  clipB16: { ...clipB, image: imageTowers["vit-b16"] },
  clipB16QuickGelu: {
    ...clipB,
    image: imageTowers["vit-b16-quickgelu"],
    text: textTowers["base-causal-quickgelu"],
  },
  clipB32: { ...clipB, image: imageTowers["vit-b32"] },
  clipB32At256: { ...clipB, imageSize: 256, image: imageTowers["vit-b32"] },
  clipB32QuickGelu: {
    ...clipB,
    image: imageTowers["vit-b32-quickgelu"],
    text: textTowers["base-causal-quickgelu"],
  },
  clipL14: {
    embedDim: 768,
    imageSize: 224,
    image: imageTowers["vit-l14"],
    text: textTowers["base-768-causal"],
    headBias: false,
  },
  clipL14QuickGelu: {
    embedDim: 768,
    imageSize: 224,
    image: imageTowers["vit-l14-quickgelu"],
    text: textTowers["base-768-quickgelu"],
    headBias: false,
  },
  quickstart: {
    imageSize: 64,
    embedDim: 128,
    image: imageTowers.quickstart,
    text: textTowers.quickstart,
    headBias: true,
  },
} as const satisfies Record<string, ClipConfig>

/**
 * Every released model, CLIP's own (some of them teachers), and the one the quickstart trains. v1 is named `mobileclip-*`,
 * v2 `mobileclip2-*`; CLIP's have open_clip's names: OpenAI's and DFN2B are `-quickgelu`, the others are not.
 */
export const variants = {
  "mobileclip-s0": { model: models.s0, preprocessing: bilinear256, keys: "apple", samplesSeen: 13 },
  "mobileclip-s1": { model: models.s1, preprocessing: bilinear256, keys: "apple", samplesSeen: 13 },
  "mobileclip-s2": { model: models.s2, preprocessing: bilinear256, keys: "apple", samplesSeen: 13 },
  "mobileclip-b": { model: models.b, preprocessing: bilinear224, keys: "apple", samplesSeen: 13 },
  "mobileclip-blt": { model: models.b, preprocessing: bilinear224, keys: "apple", samplesSeen: 36 },
  "mobileclip-s3": { model: models.s3, preprocessing: normalized256, keys: "openclip", samplesSeen: 13 },
  "mobileclip-s4": { model: models.s4, preprocessing: normalized256, keys: "openclip", samplesSeen: 13 },
  "mobileclip-l14": { model: models.l14, preprocessing: normalized224, keys: "openclip", samplesSeen: 13 },
  "mobileclip2-s0": { model: models.s0v2, preprocessing: bilinear256, keys: "openclip", samplesSeen: 13 },
  "mobileclip2-s2": { model: models.s2v2, preprocessing: bilinear256, keys: "openclip", samplesSeen: 13 },
  "mobileclip2-b": { model: models.bv2, preprocessing: bilinear224, keys: "openclip", samplesSeen: 13 },
  "mobileclip2-s3": { model: models.s3, preprocessing: normalized256, keys: "openclip", samplesSeen: 13 },
  "mobileclip2-s4": { model: models.s4, preprocessing: normalized256, keys: "openclip", samplesSeen: 13 },
  "mobileclip2-l14": { model: models.l14, preprocessing: normalized224, keys: "openclip", samplesSeen: 13 },
  "vit-b-16": { model: models.clipB16, preprocessing: normalized224, keys: "clip", samplesSeen: null },
  "vit-b-16-quickgelu": {
    model: models.clipB16QuickGelu,
    preprocessing: normalized224,
    keys: "clip",
    samplesSeen: null,
  },
  "vit-b-32": { model: models.clipB32, preprocessing: normalized224, keys: "clip", samplesSeen: null },
  "vit-b-32-256": { model: models.clipB32At256, preprocessing: bicubic256, keys: "clip", samplesSeen: null },
  "vit-b-32-quickgelu": {
    model: models.clipB32QuickGelu,
    preprocessing: normalized224,
    keys: "clip",
    samplesSeen: null,
  },
  "vit-l-14": { model: models.clipL14, preprocessing: normalized224, keys: "clip", samplesSeen: null },
  "vit-l-14-quickgelu": {
    model: models.clipL14QuickGelu,
    preprocessing: normalized224,
    keys: "clip",
    samplesSeen: null,
  },
  quickstart: {
    model: models.quickstart,
    preprocessing: { size: 64, interpolation: "bilinear", ...unit },
    keys: "openclip",
    samplesSeen: null,
  },
} as const satisfies Record<string, Variant>

export type VariantName = keyof typeof variants

/** CoCa models that write captions: the released one, and the one the quickstart trains. */
export const captioners = {
  "coca-vit-l-14": {
    model: {
      embedDim: 768,
      imageSize: 224,
      image: imageTowers["vit-l14"],
      pooler: { queries: 256, heads: 8 },
      text: textTowers.coca,
      decoder: { layers: 12, heads: 12 },
    },
    preprocessing: normalized224,
  },
  "quickstart-captioner": {
    model: {
      embedDim: 64,
      imageSize: 40,
      image: imageTowers["quickstart-captioner"],
      pooler: { queries: 9, heads: 2 },
      text: textTowers["quickstart-captioner"],
      decoder: { layers: 1, heads: 2 },
    },
    preprocessing: { size: 40, interpolation: "bilinear", ...unit },
  },
} as const satisfies Record<string, Captioner>

export type CaptionerName = keyof typeof captioners

/** What can be trained: a variant or a captioner. */
export type ModelName = VariantName | CaptionerName

/** Configuration and preprocessing of either. */
export function modelNamed(name: ModelName): Variant | Captioner {
  return { ...variants, ...captioners }[name]
}

export function isCaptioner(name: ModelName): name is CaptionerName {
  return Object.hasOwn(captioners, name)
}
