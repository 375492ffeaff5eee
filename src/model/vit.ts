/**
 * Vision transformers: CLIP's ViT, and MobileCLIP-B's with a convolutional stem.
 *
 * Sources: open_clip transformer.py `VisionTransformer`; timm vision_transformer.py and vision_transformer_hybrid.py
 * (`vit_base_mci_224`); apple/ml-mobileclip `models/vit.py`. Apple's and timm's B are two functions of the same weights:
 * the configuration says which. Shapes: N batch, H height, W width, P patches, D width of a token.
 */
import type { VitConfig, VitConvStemConfig } from "../core/family/variants.ts"
import { type Init, Parameter } from "../tensor/parameter.ts"
import type { Tensor } from "../tensor/tensor.ts"
import { Conv2d, type Layer, LayerNorm, Linear, runSegments, type Segment, segmentsOf, timmWeight } from "./layers.ts"
import { ConvBn } from "./mobileone.ts"
import { Module } from "./module.ts"
import { pytorchInit, TransformerBlock, timmInit } from "./transformer.ts"

/** The library whose initialisation and weight decay a tower has; the function is the same. */
type VitOrigin = "open_clip" | "timm"

/** From pixels to the tokens after the last block, class token first. All CLIP ViTs share this. */
export class VitTrunk extends Module {
  readonly patchEmbed: Conv2d
  readonly classToken: Parameter // [D]
  readonly positionalEmbedding: Parameter // [1 + P, D]
  readonly normPre: LayerNorm
  readonly blocks: readonly TransformerBlock[]

  constructor(
    readonly config: VitConfig,
    imageSize: number,
    origin: VitOrigin,
  ) {
    super()
    const { width, layers, patchSize } = config
    const isTimm = origin === "timm"
    const scaled: Init = { kind: "normal", std: width ** -0.5 }
    const geometry = { kernelSize: patchSize, stride: patchSize, padding: 0, bias: false }
    this.patchEmbed = new Conv2d(3, width, geometry)
    this.classToken = isTimm ? timmClassToken(width) : new Parameter([width], scaled)
    const tokens = 1 + Math.floor(imageSize / patchSize) ** 2
    this.positionalEmbedding = new Parameter([tokens, width], isTimm ? timmWeight : scaled)
    this.normPre = new LayerNorm(width)
    const init = isTimm ? timmInit() : pytorchInit(config)
    this.blocks = Array.from({ length: layers }, () => new TransformerBlock({ ...config, causal: false }, init))
  }

  /** [N, 3, H, W] -> [N, 1 + P, D] */
  encode(x: Tensor): Tensor {
    return runSegments(this.trunkSegments(), x)
  }

  trunkSegments(): Segment[] {
    return [(x) => this.embed(x), ...segmentsOf(this.blocks)]
  }

  protected embed(x: Tensor): Tensor {
    const patches = flattenPixels(this.patchEmbed.forward(x))
    return this.normPre.forward(prepend(this.classToken, patches).addPositions(this.positionalEmbedding))
  }
}

/** CLIP's ViT: timm's where its projection has a bias, else open_clip's own. */
export class Vit extends VitTrunk {
  readonly norm: LayerNorm
  readonly projection: Linear

  constructor(config: VitConfig, imageSize: number, embedDim: number, headBias: boolean) {
    super(config, imageSize, headBias ? "timm" : "open_clip")
    const { width } = config
    this.norm = new LayerNorm(width)
    const weightInit: Init = headBias ? timmWeight : { kind: "normal", std: width ** -0.5 }
    this.projection = new Linear(width, embedDim, { bias: headBias, weightInit })
  }

  /** [N, 3, H, W] -> [N, embedDim], not normalised. */
  forward(x: Tensor): Tensor {
    return runSegments(this.segments(), x)
  }

  segments(): Segment[] {
    const project = (row: Tensor) => this.projection.forward(this.norm.forward(row))
    return [(x) => this.embed(x), ...classTokenSegments(this.blocks), project]
  }
}

/** MobileCLIP-B's: three strided convolutions make the patches; the class token has no position. */
export class ConvStemVit extends Module {
  readonly patchEmbed: readonly [Layer, Layer, Conv2d]
  readonly classToken: Parameter // [D]
  readonly positionalEmbedding: Parameter // [P, D]
  readonly blocks: readonly TransformerBlock[]
  readonly norm: LayerNorm
  readonly projection: Linear

  constructor(config: VitConvStemConfig, imageSize: number, embedDim: number, headBias: boolean) {
    super()
    const { width, layers, stemWidth, stemPadding, normEps } = config
    const halving = { kernelSize: 2, stride: 2, padding: 0 }
    this.patchEmbed = [
      new ConvBn(3, stemWidth, { kernelSize: 4, stride: 4, padding: stemPadding }),
      new ConvBn(stemWidth, stemWidth, halving),
      new Conv2d(stemWidth, width, halving),
    ]
    this.classToken = timmClassToken(width)
    this.positionalEmbedding = new Parameter([Math.floor(imageSize / 16) ** 2, width], timmWeight)
    const block = { ...config, causal: false, activation: "gelu" } as const
    this.blocks = Array.from({ length: layers }, () => new TransformerBlock(block, timmInit()))
    this.norm = new LayerNorm(width, normEps)
    this.projection = new Linear(width, embedDim, { bias: headBias, weightInit: timmWeight })
  }

  /** [N, 3, H, W] -> [N, embedDim], not normalised. */
  forward(x: Tensor): Tensor {
    return runSegments(this.segments(), x)
  }

  segments(): Segment[] {
    const project = (row: Tensor) => this.projection.forward(this.norm.forward(row))
    return [(x) => this.embed(x), ...classTokenSegments(this.blocks), project]
  }

  private embed(x: Tensor): Tensor {
    const [quarter, eighth, sixteenth] = this.patchEmbed
    const pixels = sixteenth.forward(eighth.forward(quarter.forward(x).gelu()).gelu())
    return prepend(this.classToken, flattenPixels(pixels).addPositions(this.positionalEmbedding))
  }
}

/** timm's is [1, 1, D]: as a vector it would not be decayed. */
function timmClassToken(width: number): Parameter {
  return new Parameter([width], { kind: "normal", std: 1e-6 }, "parameter", "float32", true)
}

/** [N, D, H, W] -> [N, H * W, D] */
function flattenPixels(x: Tensor): Tensor {
  return x.reshape([x.shape[1]!, -1]).permute([0, 2, 1])
}

/** [D] in front of [N, P, D] */
function prepend(row: Parameter, x: Tensor): Tensor {
  return x.repeat(row).reshape([1, row.size]).concat([x], 1)
}

/** [N, 1 + P, D] -> the class token after the last block [N, D], which computes no other row. */
function classTokenSegments(blocks: readonly TransformerBlock[]): Segment[] {
  return [...segmentsOf(blocks.slice(0, -1)), (x) => blocks.at(-1)!.forwardRow(x, classRow)]
}

/** [N, 1 + P, D] -> [N, D] */
function classRow(x: Tensor): Tensor {
  return x.narrow(1, 0, 1).reshape([x.shape[2]!])
}
