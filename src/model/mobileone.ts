/**
 * MobileOne block and RepMixer: several convolution + batch-norm branches while training, one convolution afterwards.
 *
 * Papers: MobileOne https://arxiv.org/abs/2206.04040, FastViT https://arxiv.org/abs/2303.14189.
 * Branch names (`convKxk`, `convScale`, `identity`) are timm's, in camelCase; see `weights.ts` for the mapping.
 * Shapes: N batch, C channels, H height, W width.
 */
import { Parameter } from "../tensor/parameter.ts"
import type { NormTerm, Tensor } from "../tensor/tensor.ts"
import {
  addIdentity,
  combineKernels,
  convFromKernel,
  fuseBatchNorm,
  fuseIdentity,
  type Kernel,
  padKernel,
  scaleKernel,
} from "./kernel.ts"
import { BatchNorm2d, Conv2d, type Conv2dOptions } from "./layers.ts"
import { Module } from "./module.ts"

interface MobileOneOptions {
  readonly inChannels: number
  readonly outChannels: number
  readonly kernelSize: number | readonly [number, number]
  readonly stride?: number
  readonly groups?: number
  /** False for RepMixer's `norm`: only the identity branch is left. */
  readonly kernelBranch?: boolean
  /** Adds the 1x1 branch. */
  readonly scaleBranch: boolean
}

/** Convolution without bias, then batch norm: the unit every branch is made of. */
export class ConvBn extends Module {
  readonly conv: Conv2d
  readonly bn: BatchNorm2d

  constructor(inChannels: number, outChannels: number, options: Conv2dOptions) {
    super()
    this.conv = new Conv2d(inChannels, outChannels, { ...options, bias: false })
    this.bn = new BatchNorm2d(outChannels)
  }

  forward(x: Tensor): Tensor {
    return this.bn.forward(this.conv.forward(x))
  }

  kernel(): Kernel {
    return fuseBatchNorm(this.conv, this.bn)
  }

  /** The same function in eval mode as one convolution. */
  fold(): Conv2d {
    return convFromKernel(this.kernel(), this.conv)
  }
}

/** Sum of linear branches; squeeze-excite and activation are the caller's, so this is exactly one convolution. */
export class MobileOneBlock extends Module {
  readonly convKxk: readonly ConvBn[]
  readonly convScale: ConvBn | null
  readonly identity: BatchNorm2d | null

  constructor(readonly options: MobileOneOptions) {
    super()
    const { inChannels, outChannels, stride = 1, kernelBranch = true, scaleBranch } = options
    this.convKxk = kernelBranch ? [new ConvBn(inChannels, outChannels, options)] : []
    this.convScale = scaleBranch ? new ConvBn(inChannels, outChannels, { ...options, kernelSize: 1 }) : null
    this.identity = inChannels === outChannels && stride === 1 ? new BatchNorm2d(inChannels) : null
  }

  /** [N, inChannels, H, W] -> [N, outChannels, H/stride, W/stride] */
  forward(x: Tensor): Tensor {
    const [first, ...others] = this.terms(x)
    const base = first!.input.batchNorm(first!.norm)
    return others.length > 0 ? base.addNorms(others) : base
  }

  /** The branches, each a norm; `forward` is their sum. */
  terms(x: Tensor): NormTerm[] {
    const { convScale, identity } = this
    const kernels = this.convKxk.map((branch) => convolved(x, branch))
    const scale = convScale ? [this.isDepthwise ? scaled(x, convScale) : convolved(x, convScale)] : []
    return [...kernels, ...scale, ...(identity ? [{ input: x, norm: identity }] : [])]
  }

  /** Whether the 1x1 branch is a factor per channel, beside a branch with a kernel. */
  private get isDepthwise(): boolean {
    const { inChannels, outChannels, groups, stride = 1, kernelBranch = true } = this.options
    return kernelBranch && groups === inChannels && outChannels === inChannels && stride === 1
  }

  kernel(): Kernel {
    const { inChannels, outChannels, groups = 1 } = this.options
    const [rows, columns] = kernelRowsAndColumns(this.options.kernelSize)
    const kernels = this.convKxk.map((branch) => branch.kernel())
    if (this.convScale) kernels.push(padKernel(this.convScale.kernel(), rows, columns))
    if (this.identity) kernels.push(fuseIdentity([outChannels, inChannels / groups, rows, columns], this.identity))
    return combineKernels(kernels.map((kernel) => [1, kernel]))
  }

  /** What `forward` computes in eval mode, as one convolution. Training cannot continue from it. */
  reparameterize(): Conv2d {
    return convFromKernel(this.kernel(), { ...this.options, options: this.options })
  }
}

function convolved(x: Tensor, { conv, bn }: ConvBn): NormTerm {
  return { input: conv.forward(x), norm: bn }
}

function scaled(x: Tensor, { conv, bn }: ConvBn): NormTerm {
  return { input: x, scale: conv.weight, norm: bn }
}

/** Token mixer: x + layerScale * (mixer(x) - norm(x)), depthwise. Source: timm fastvit.py, `RepMixer`. */
export class RepMixer extends Module {
  readonly norm: MobileOneBlock
  readonly mixer: MobileOneBlock
  readonly layerScale: Parameter // [C, 1, 1]

  constructor(
    readonly dim: number,
    kernelSize: MobileOneOptions["kernelSize"],
    scaleBranch: boolean,
  ) {
    super()
    const depthwise = { inChannels: dim, outChannels: dim, kernelSize, groups: dim }
    this.norm = new MobileOneBlock({ ...depthwise, kernelBranch: false, scaleBranch: false })
    this.mixer = new MobileOneBlock({ ...depthwise, scaleBranch })
    this.layerScale = layerScale(dim)
  }

  /** [N, C, H, W] -> the same shape. */
  forward(x: Tensor): Tensor {
    const subtracted = this.norm.terms(x).map((term) => ({ ...term, sign: -1 as const }))
    return x.addNorms([...this.mixer.terms(x), ...subtracted], this.layerScale)
  }

  reparameterize(): Conv2d {
    const difference = combineKernels([
      [1, this.mixer.kernel()],
      [-1, this.norm.kernel()],
    ])
    const { options } = this.mixer
    return convFromKernel(addIdentity(scaleKernel(difference, this.layerScale)), { ...options, options })
  }
}

/** Per-channel factor of a residual branch, [C, 1, 1], 1e-5 at the start. */
export function layerScale(dim: number): Parameter {
  return new Parameter([dim, 1, 1], { kind: "constant", value: 1e-5 })
}

function kernelRowsAndColumns(kernelSize: MobileOneOptions["kernelSize"]): readonly [number, number] {
  return typeof kernelSize === "number" ? [kernelSize, kernelSize] : kernelSize
}
