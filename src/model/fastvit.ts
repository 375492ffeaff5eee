/**
 * FastViT image towers of MobileCLIP (MCi0-MCi4): convolutional stem, RepMixer stages, attention in the last stages.
 *
 * Paper: FastViT https://arxiv.org/abs/2303.14189. Structure follows timm fastvit.py (`fastvit_mci*`); Apple's
 * `mci.py` computes the same function. Shapes: N batch, C channels, H height, W width, L = H * W tokens.
 */
import type { FastViTConfig, Stage } from "../core/family/variants.ts"
import type { Parameter } from "../tensor/parameter.ts"
import type { Tensor } from "../tensor/tensor.ts"
import { addIdentity, combineKernels, convFromKernel, foldLinear, kernelOf, padKernel, scaleConv } from "./kernel.ts"
import {
  BatchNorm2d,
  ChannelLayerNorm,
  Conv2d,
  type Layer,
  Linear,
  runSegments,
  type Segment,
  SqueezeExcite,
  segmentsOf,
  timmWeight,
  zeros,
} from "./layers.ts"
import { ConvBn, layerScale, MobileOneBlock, RepMixer } from "./mobileone.ts"
import { Module, withFields } from "./module.ts"

const headDim = 32

// ------------------------------------------------------------------------------------------------------ blocks

/** Two strided depthwise convolutions of the same input, 7x7 and 3x3, summed. `outChannels / inChannels` filters each. */
class LargeKernelConv extends Module {
  readonly large: ConvBn
  readonly small: ConvBn

  constructor(
    readonly inChannels: number,
    readonly outChannels: number,
  ) {
    super()
    const geometry = { stride: 2, groups: inChannels }
    this.large = new ConvBn(inChannels, outChannels, { ...geometry, kernelSize: 7 })
    this.small = new ConvBn(inChannels, outChannels, { ...geometry, kernelSize: 3 })
  }

  /** [N, inChannels, H, W] -> [N, outChannels, H/2, W/2] */
  forward(x: Tensor): Tensor {
    return this.large.forward(x).add(this.small.forward(x))
  }

  reparameterize(): Conv2d {
    const kernel = combineKernels([
      [1, this.large.kernel()],
      [1, padKernel(this.small.kernel(), 7, 7)],
    ])
    return convFromKernel(kernel, this.large.conv)
  }
}

/** Between two stages: half the resolution, the next stage's channels. timm's `PatchEmbed`. */
class Downsample extends Module {
  readonly largeKernel: Layer
  readonly se: SqueezeExcite | null
  readonly pointwise: Layer

  constructor(inChannels: number, outChannels: number, se: boolean) {
    super()
    this.largeKernel = new LargeKernelConv(inChannels, outChannels)
    this.se = se ? new SqueezeExcite(outChannels, roundToEight(outChannels / 4)) : null
    const dense = { inChannels: outChannels, outChannels, kernelSize: 1 }
    this.pointwise = new MobileOneBlock({ ...dense, scaleBranch: false })
  }

  /** [N, inChannels, H, W] -> [N, outChannels, H/2, W/2] */
  forward(x: Tensor): Tensor {
    const y = this.largeKernel.forward(x)
    return this.pointwise.forward((this.se?.forward(y) ?? y).gelu()).gelu()
  }
}

/** Conditional positional encoding: x + depthwise 7x7 of x. */
class PositionalEncoding extends Module {
  readonly conv: Conv2d

  constructor(dim: number) {
    super()
    this.conv = new Conv2d(dim, dim, { kernelSize: 7, groups: dim })
  }

  forward(x: Tensor): Tensor {
    return x.add(this.conv.forward(x))
  }

  reparameterize(): Conv2d {
    return convFromKernel(addIdentity(kernelOf(this.conv)), this.conv)
  }
}

/** Some pixels of each picture: [N, C, H, W] -> [N, C, H', W'] */
type PixelChoice = (x: Tensor) => Tensor

const whole: PixelChoice = (x) => x

/** Depthwise convolution + batch norm, then a two-layer perceptron on the channels. */
class ConvFfn extends Module {
  readonly conv: ConvBn | Conv2d
  readonly fc1: Conv2d
  readonly fc2: Conv2d

  constructor(dim: number, hidden: number, kernelSize: Conv2d["kernelSize"]) {
    super()
    const dense = { kernelSize: 1, weightInit: timmWeight, biasInit: zeros }
    this.conv = new ConvBn(dim, dim, { kernelSize, groups: dim, weightInit: timmWeight })
    this.fc1 = new Conv2d(dim, hidden, dense)
    this.fc2 = new Conv2d(hidden, dim, dense)
  }

  /** [N, C, H, W] -> the same shape, or the pixels of it that `choose` takes. */
  forward(x: Tensor, choose = whole): Tensor {
    return this.fc2.forward(this.fc1.forward(choose(this.conv.forward(x))).gelu())
  }

  /** One convolution in place of convolution and norm; the results scaled (null: the scale is folded already). */
  foldWith(scale: Parameter | null): ConvFfn {
    const conv = this.conv instanceof ConvBn ? this.conv.fold() : this.conv
    return withFields(this, { conv, fc2: scale ? scaleConv(this.fc2, scale) : this.fc2 })
  }
}

/** RepMixer, then a scaled residual ConvFfn. */
export class RepMixerBlock extends Module {
  readonly tokenMixer: Layer
  readonly convFfn: ConvFfn
  /** Null once it is folded into the weights. */
  readonly layerScale: Parameter | null

  constructor(
    dim: number,
    hidden: number,
    kernels: { mixer: number | readonly [number, number]; ffn: readonly [number, number]; scaleBranch: boolean },
  ) {
    super()
    this.tokenMixer = new RepMixer(dim, kernels.mixer, kernels.scaleBranch)
    this.convFfn = new ConvFfn(dim, hidden, kernels.ffn)
    this.layerScale = layerScale(dim)
  }

  /** [N, C, H, W] -> the same shape. */
  forward(x: Tensor): Tensor {
    return this.forwardAt(x, whole)
  }

  /** Only the pixels of the results that `choose` takes; convolutions and the norms' statistics are of all. */
  forwardAt(x: Tensor, choose: PixelChoice): Tensor {
    const mixed = this.tokenMixer.forward(x)
    return choose(mixed).add(scaleBy(this.layerScale, this.convFfn.forward(mixed, choose)))
  }

  fold(): RepMixerBlock {
    return withFields(this, { convFfn: this.convFfn.foldWith(this.layerScale), layerScale: null })
  }
}

/** Multi-head self-attention over the pixels; heads of 32 channels, no bias on queries, keys and values. */
class PixelAttention extends Module {
  readonly qkv: Linear
  readonly proj: Linear

  constructor(readonly dim: number) {
    super()
    this.qkv = new Linear(dim, 3 * dim, { bias: false, weightInit: timmWeight })
    this.proj = new Linear(dim, dim, { weightInit: timmWeight })
  }

  /** [N, C, H, W] -> the same shape. */
  forward(x: Tensor): Tensor {
    const { dim } = this
    const [, , height, width] = x.shape as readonly [number, number, number, number]
    const qkv = this.qkv.forward(x.reshape([dim, height * width]).permute([0, 2, 1]))
    const mixed = this.proj.forward(qkv.selfAttention({ heads: dim / headDim, causal: false }))
    return mixed.permute([0, 2, 1]).reshape([dim, height, width])
  }

  /** The same after a batch norm (null: without one), its results scaled (null: not scaled). */
  foldWith(norm: BatchNorm2d | null, scale: Parameter | null): PixelAttention {
    const qkv = norm ? foldLinear(this.qkv, norm, null) : this.qkv
    return withFields(this, { qkv, proj: scale ? foldLinear(this.proj, null, scale) : this.proj })
  }
}

/** Attention over the pixels, then ConvFfn; both scaled residuals. The batch norm of the second lives in ConvFfn. */
class AttentionBlock extends Module {
  /** Null once it is folded into the weights after it, as the scales are. */
  readonly norm: Layer | null
  readonly tokenMixer: PixelAttention
  readonly layerScale1: Parameter | null
  readonly convFfn: ConvFfn
  readonly layerScale2: Parameter | null

  constructor(dim: number, hidden: number, norm: FastViTConfig["attentionNorm"]) {
    super()
    this.norm = norm === "batch" ? new BatchNorm2d(dim) : new ChannelLayerNorm(dim)
    this.tokenMixer = new PixelAttention(dim)
    this.layerScale1 = layerScale(dim)
    this.convFfn = new ConvFfn(dim, hidden, [7, 7])
    this.layerScale2 = layerScale(dim)
  }

  forward(x: Tensor): Tensor {
    const attended = this.tokenMixer.forward(this.norm?.forward(x) ?? x)
    const mixed = x.add(scaleBy(this.layerScale1, attended))
    return mixed.add(scaleBy(this.layerScale2, this.convFfn.forward(mixed)))
  }

  fold(): AttentionBlock {
    const norm = this.norm instanceof BatchNorm2d ? this.norm : null
    return withFields(this, {
      norm: norm ? null : this.norm,
      tokenMixer: this.tokenMixer.foldWith(norm, this.layerScale1),
      layerScale1: null,
      convFfn: this.convFfn.foldWith(this.layerScale2),
      layerScale2: null,
    })
  }
}

function scaleBy(scale: Parameter | null, x: Tensor): Tensor {
  return scale ? x.mul(scale) : x
}

// ------------------------------------------------------------------------------------------------------- tower

/** One resolution: downsampling (except the first), positional encoding, blocks. */
class FastViTStage extends Module {
  readonly downsample: Downsample | null
  readonly posEmb: Layer | null
  readonly blocks: readonly (RepMixerBlock | AttentionBlock)[]

  constructor(inChannels: number | null, stage: Stage, attentionNorm: FastViTConfig["attentionNorm"]) {
    super()
    const { depth, dim, mixer, se = false, posEmb = false } = stage
    const hidden = dim * stage.mlpRatio
    this.downsample = inChannels === null ? null : new Downsample(inChannels, dim, se)
    this.posEmb = posEmb ? new PositionalEncoding(dim) : null
    this.blocks = Array.from({ length: depth }, () =>
      mixer === "attention"
        ? new AttentionBlock(dim, hidden, attentionNorm)
        : new RepMixerBlock(dim, hidden, { mixer: 3, ffn: [7, 7], scaleBranch: true }),
    )
  }

  segments(): Segment[] {
    return segmentsOf([this.downsample, this.posEmb, ...this.blocks].filter((layer) => layer !== null))
  }

  forward(x: Tensor): Tensor {
    return runSegments(this.segments(), x)
  }
}

/** Twice the channels by a depthwise 3x3 MobileOne block, squeeze-excite, GELU. */
class FinalConv extends Module {
  readonly block: Layer
  readonly se: SqueezeExcite

  constructor(dim: number) {
    super()
    const geometry = { inChannels: dim, outChannels: 2 * dim, kernelSize: 3, groups: dim }
    this.block = new MobileOneBlock({ ...geometry, scaleBranch: true })
    this.se = new SqueezeExcite(2 * dim, (2 * dim) / 16)
  }

  forward(x: Tensor): Tensor {
    return this.se.forward(this.block.forward(x)).gelu()
  }
}

/** From pixels to the last feature map. */
export class FastViTTrunk extends Module {
  readonly stem: readonly Layer[]
  readonly stages: readonly FastViTStage[]

  constructor(config: FastViTConfig) {
    super()
    const dims = config.stages.map((stage) => stage.dim)
    const first = dims[0]!
    const scaleBranch = config.stemScaleBranch
    this.stem = [
      new MobileOneBlock({ inChannels: 3, outChannels: first, kernelSize: 3, stride: 2, scaleBranch }),
      new MobileOneBlock({
        inChannels: first,
        outChannels: first,
        kernelSize: 3,
        stride: 2,
        groups: first,
        scaleBranch,
      }),
      new MobileOneBlock({ inChannels: first, outChannels: first, kernelSize: 1, scaleBranch: false }),
    ]
    this.stages = config.stages.map((stage, s) => new FastViTStage(dims[s - 1] ?? null, stage, config.attentionNorm))
  }

  /** [N, 3, H, W] -> [N, C, h, w], C the channels of the last stage. */
  features(x: Tensor): Tensor {
    return runSegments(this.trunkSegments(), x)
  }

  trunkSegments(): Segment[] {
    const stem = this.stem.map((block) => (x: Tensor) => block.forward(x).gelu())
    return [...stem, ...this.stages.flatMap((stage) => stage.segments())]
  }
}

export class FastViT extends FastViTTrunk {
  readonly finalConv: FinalConv
  readonly head: Linear

  constructor(config: FastViTConfig, embedDim: number, headBias: boolean) {
    super(config)
    const last = config.stages.at(-1)!.dim
    this.finalConv = new FinalConv(last)
    this.head = new Linear(2 * last, embedDim, { bias: headBias, weightInit: timmWeight })
  }

  /** [N, 3, H, W] -> [N, embedDim], not normalised. */
  forward(x: Tensor): Tensor {
    return runSegments(this.segments(), x)
  }

  segments(): Segment[] {
    const pool = (features: Tensor) => this.head.forward(this.finalConv.forward(features).mean([2, 3]))
    return [...this.trunkSegments(), pool]
  }
}

/** Nearest multiple of 8, at least 8: the hidden width of timm's squeeze-excite. */
function roundToEight(width: number): number {
  return Math.max(8, Math.floor((width + 4) / 8) * 8)
}
