/**
 * The elementary layers: each declares its parameters and calls the operation interface only.
 * Shapes: N batch, C channels, H height, W width, D width of a token.
 */
import { type Init, Parameter } from "../tensor/parameter.ts"
import type { Tensor } from "../tensor/tensor.ts"
import { Module } from "./module.ts"

/** A module from one tensor to one tensor. */
export interface Layer extends Module {
  forward(x: Tensor): Tensor
}

/** A piece of a tower that goes from one tensor to one tensor: activation checkpointing runs it again. */
export type Segment = (x: Tensor) => Tensor

/** A tower as its segments: `forward` is all of them in turn. */
export interface Segmented extends Layer {
  segments(): readonly Segment[]
}

export function runSegments(segments: readonly Segment[], x: Tensor): Tensor {
  return segments.reduce((y, segment) => segment(y), x)
}

/** The same for several tensors that go from piece to piece. */
export type JointSegment = (parts: readonly Tensor[]) => readonly Tensor[]

/** The forward passes of `layers`. */
export function segmentsOf(layers: readonly Layer[]): Segment[] {
  return layers.map((layer) => (x) => layer.forward(x))
}

export const zeros: Init = { kind: "constant", value: 0 }
const ones: Init = { kind: "constant", value: 1 }
/** timm's truncated normal. It cuts at +-2, not at 2 standard deviations, so at 0.02 the cut never binds. */
export const timmWeight: Init = { kind: "normal", std: 0.02 }

export interface Conv2dOptions {
  /** A number for square kernels, or rows and columns. */
  readonly kernelSize: number | readonly [number, number]
  readonly stride?: number
  readonly groups?: number
  /** Default: half the kernel. */
  readonly padding?: number
  readonly bias?: boolean
  /** Default: PyTorch's, uniform in +-1/sqrt(fan in) for weight and bias. */
  readonly weightInit?: Init
  readonly biasInit?: Init
}

/** Convolution, by default with half the kernel of zero padding on each side. */
export class Conv2d extends Module {
  readonly weight: Parameter // [O, I/groups, kH, kW]
  readonly bias: Parameter | null

  constructor(
    readonly inChannels: number,
    readonly outChannels: number,
    readonly options: Conv2dOptions,
  ) {
    super()
    const { groups = 1, bias = true } = options
    const [rows, columns] = this.kernelSize
    const fanIn: Init = { kind: "fanIn", fanIn: (inChannels / groups) * rows * columns }
    this.weight = new Parameter([outChannels, inChannels / groups, rows, columns], options.weightInit ?? fanIn)
    this.bias = bias ? new Parameter([outChannels], options.biasInit ?? fanIn) : null
  }

  get kernelSize(): readonly [number, number] {
    const { kernelSize } = this.options
    return typeof kernelSize === "number" ? [kernelSize, kernelSize] : kernelSize
  }

  get groups(): number {
    return this.options.groups ?? 1
  }

  /** [N, C, H, W] -> [N, outChannels, H/stride, W/stride] */
  forward(x: Tensor): Tensor {
    const [rows, columns] = this.kernelSize
    const { padding: given } = this.options
    const padding = [given ?? Math.floor(rows / 2), given ?? Math.floor(columns / 2)] as const
    return x.conv2d(this.weight, this.bias, { stride: this.options.stride ?? 1, padding, groups: this.groups })
  }
}

export class Linear extends Module {
  readonly weight: Parameter // [out, in]
  readonly bias: Parameter | null

  /** @param options `biasInit` is zeros by default */
  constructor(
    inFeatures: number,
    outFeatures: number,
    { bias = true, weightInit, biasInit = zeros }: { bias?: boolean; weightInit: Init; biasInit?: Init },
  ) {
    super()
    this.weight = new Parameter([outFeatures, inFeatures], weightInit)
    this.bias = bias ? new Parameter([outFeatures], biasInit) : null
  }

  /** [..., in] -> [..., out] */
  forward(x: Tensor): Tensor {
    return x.linear(this.weight, this.bias)
  }
}

/** Batch norm over [N, C, H, W], eps 1e-5, momentum 0.1: the values of every published model. */
export class BatchNorm2d extends Module {
  readonly weight: Parameter
  readonly bias: Parameter
  readonly runningMean: Parameter
  readonly runningVar: Parameter
  readonly numBatchesTracked = new Parameter([], zeros, "buffer", "int64")

  constructor(
    readonly channels: number,
    readonly eps = 1e-5,
    readonly momentum = 0.1,
  ) {
    super()
    this.weight = new Parameter([channels], ones)
    this.bias = new Parameter([channels], zeros)
    this.runningMean = new Parameter([channels], zeros, "buffer")
    this.runningVar = new Parameter([channels], ones, "buffer")
  }

  forward(x: Tensor): Tensor {
    return x.batchNorm(this)
  }
}

/** Layer norm over the last axis. */
export class LayerNorm extends Module {
  readonly weight: Parameter
  readonly bias: Parameter

  constructor(
    width: number,
    readonly eps = 1e-5,
  ) {
    super()
    this.weight = new Parameter([width], ones)
    this.bias = new Parameter([width], zeros)
  }

  forward(x: Tensor): Tensor {
    return x.layerNorm(this.weight, this.bias, this.eps)
  }
}

/** Layer norm over the channels of each pixel of [N, C, H, W]. */
export class ChannelLayerNorm extends LayerNorm {
  override forward(x: Tensor): Tensor {
    return super.forward(x.permute([0, 2, 3, 1])).permute([0, 3, 1, 2])
  }
}

/** Scales each channel by what a bottleneck (ReLU, sigmoid) makes of the channel means. */
export class SqueezeExcite extends Module {
  readonly fc1: Conv2d
  readonly fc2: Conv2d

  constructor(channels: number, hidden: number) {
    super()
    this.fc1 = new Conv2d(channels, hidden, { kernelSize: 1 })
    this.fc2 = new Conv2d(hidden, channels, { kernelSize: 1 })
  }

  forward(x: Tensor): Tensor {
    const gate = this.fc2.forward(this.fc1.forward(x.mean([2, 3], true)).relu()).sigmoid()
    return x.mul(gate)
  }
}
