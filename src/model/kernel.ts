/**
 * Arithmetic on convolution kernels, for reparameterisation. Everything is computed in float64 from the parameters'
 * host values and rounded to float32 once, when the fused convolution's values are asked for.
 */
import type { Parameter } from "../tensor/parameter.ts"
import { type BatchNorm2d, Conv2d, Linear } from "./layers.ts"

/** A convolution as numbers: weight [O, I/groups, kH, kW] row-major, bias [O]. */
interface KernelValues {
  readonly weight: Float64Array
  readonly bias: Float64Array
}

/** A kernel that is computed when asked for, so that a large model is never held twice. */
export interface Kernel {
  readonly shape: readonly [number, number, number, number]
  values(): KernelValues
}

/** A bias-free convolution followed by batch norm with its running statistics. eps is inside the square root. */
export function fuseBatchNorm(conv: Conv2d, bn: BatchNorm2d): Kernel {
  return foldBatchNorm(shapeOf(conv), () => new Float64Array(conv.weight.read()), bn)
}

/** The kernel whose convolution returns its input, followed by batch norm. */
export function fuseIdentity(shape: Kernel["shape"], bn: BatchNorm2d): Kernel {
  return foldBatchNorm(shape, () => identityWeight(shape), bn)
}

function foldBatchNorm(shape: Kernel["shape"], readWeight: () => Float64Array, bn: BatchNorm2d): Kernel {
  return {
    shape,
    values() {
      const { factor, shift } = affine(bn)
      return { weight: scaleRows(readWeight(), factor), bias: shift }
    },
  }
}

/** Zeros around a smaller kernel, which stays in the middle. */
export function padKernel(kernel: Kernel, rows: number, columns: number): Kernel {
  const [outs, ins, smallRows, smallColumns] = kernel.shape
  const [top, left] = [(rows - smallRows) / 2, (columns - smallColumns) / 2]
  return {
    shape: [outs, ins, rows, columns],
    values() {
      const { weight: small, bias } = kernel.values()
      const weight = new Float64Array(outs * ins * rows * columns)
      for (let filter = 0; filter < outs * ins; filter++)
        for (let y = 0; y < smallRows; y++)
          for (let x = 0; x < smallColumns; x++)
            weight[(filter * rows + top + y) * columns + left + x] = small[(filter * smallRows + y) * smallColumns + x]!
      return { weight, bias }
    },
  }
}

/** Sum of `kernels`, each multiplied by its factor. */
export function combineKernels(terms: readonly (readonly [factor: number, kernel: Kernel])[]): Kernel {
  return {
    shape: terms[0]![1].shape,
    values() {
      const parts = terms.map(([factor, kernel]) => ({ factor, ...kernel.values() }))
      return {
        weight: weightedSum(parts.map(({ factor, weight }) => [factor, weight])),
        bias: weightedSum(parts.map(({ factor, bias }) => [factor, bias])),
      }
    },
  }
}

/** Scales output channel o by `scale[o]`. */
export function scaleKernel(kernel: Kernel, scale: Parameter): Kernel {
  return {
    shape: kernel.shape,
    values() {
      return scaled(kernel.values(), new Float64Array(scale.read()))
    },
  }
}

/** Convolution with this kernel, plus its input: depthwise shapes only, [C, 1, kH, kW]. */
export function addIdentity(kernel: Kernel): Kernel {
  return {
    shape: kernel.shape,
    values() {
      const { weight, bias } = kernel.values()
      const identity = identityWeight(kernel.shape)
      return { weight: weight.map((value, i) => value + identity[i]!), bias }
    },
  }
}

/** A plain convolution with bias whose values come from `kernel`; geometry is that of `like`. */
export function convFromKernel(kernel: Kernel, like: Pick<Conv2d, "inChannels" | "outChannels" | "options">): Conv2d {
  const [, , rows, columns] = kernel.shape
  const conv = new Conv2d(like.inChannels, like.outChannels, {
    ...like.options,
    kernelSize: [rows, columns],
    bias: true,
  })
  conv.weight.source = () => new Float32Array(kernel.values().weight)
  conv.bias!.source = () => new Float32Array(kernel.values().bias)
  return conv
}

/** The convolution with output channel o scaled by `scale[o]`. */
export function scaleConv(conv: Conv2d, scale: Parameter): Conv2d {
  return convFromKernel(scaleKernel(kernelOf(conv), scale), conv)
}

/** `linear` after a batch norm over its inputs (null: without one), its outputs scaled (null: not scaled). */
export function foldLinear(linear: Linear, norm: BatchNorm2d | null, scale: Parameter | null): Linear {
  const [outFeatures, inFeatures] = linear.weight.shape as readonly [number, number]
  const folded = new Linear(inFeatures, outFeatures, { bias: true, weightInit: linear.weight.init })
  const values = () => {
    const weight = new Float64Array(linear.weight.read())
    const bias = linear.bias ? new Float64Array(linear.bias.read()) : new Float64Array(outFeatures)
    if (norm) normalizeInputs(weight, bias, norm)
    return scale ? scaled({ weight, bias }, new Float64Array(scale.read())) : { weight, bias }
  }
  folded.weight.source = () => new Float32Array(values().weight)
  folded.bias!.source = () => new Float32Array(values().bias)
  return folded
}

/** W (t x + u) + b is (W t) x + (W u + b), where batch norm is t x + u. */
function normalizeInputs(weight: Float64Array, bias: Float64Array, norm: BatchNorm2d): void {
  const { factor, shift } = affine(norm)
  for (let o = 0, i = 0; o < bias.length; o++) {
    for (let c = 0; c < factor.length; c++, i++) {
      bias[o]! += weight[i]! * shift[c]!
      weight[i]! *= factor[c]!
    }
  }
}

function scaled({ weight, bias }: KernelValues, factors: Float64Array): KernelValues {
  return { weight: scaleRows(weight, factors), bias: scaleRows(bias, factors) }
}

/** Batch norm with its running statistics as factor * x + shift, per channel. */
function affine(bn: BatchNorm2d): { readonly factor: Float64Array; readonly shift: Float64Array } {
  const [gamma, beta, mean, variance] = [bn.weight, bn.bias, bn.runningMean, bn.runningVar].map((p) => p.read())
  const factor = Float64Array.from(gamma!, (g, o) => g / Math.sqrt(variance![o]! + bn.eps))
  return { factor, shift: factor.map((t, o) => beta![o]! - mean![o]! * t) }
}

/** The kernel of a convolution as it is. */
export function kernelOf(conv: Conv2d): Kernel {
  return {
    shape: shapeOf(conv),
    values: () => ({
      weight: new Float64Array(conv.weight.read()),
      bias: conv.bias ? new Float64Array(conv.bias.read()) : new Float64Array(conv.outChannels),
    }),
  }
}

function shapeOf(conv: Conv2d): Kernel["shape"] {
  return [conv.outChannels, conv.inChannels / conv.groups, ...conv.kernelSize]
}

/** Filter o passes on input channel o mod ins of its group, unchanged. */
function identityWeight([outs, ins, rows, columns]: Kernel["shape"]): Float64Array {
  const weight = new Float64Array(outs * ins * rows * columns)
  const center = columns * Math.floor(rows / 2) + Math.floor(columns / 2)
  for (let o = 0; o < outs; o++) weight[(o * ins + (o % ins)) * rows * columns + center] = 1
  return weight
}

/** Row o times scale[o]; changes `weight`, which nothing else holds. */
function scaleRows(weight: Float64Array, scale: Float64Array): Float64Array {
  const perRow = weight.length / scale.length
  for (let o = 0, i = 0; o < scale.length; o++) for (const end = i + perRow; i < end; i++) weight[i]! *= scale[o]!
  return weight
}

function weightedSum(terms: readonly (readonly [factor: number, values: Float64Array])[]): Float64Array {
  const sum = new Float64Array(terms[0]![1].length)
  for (const [factor, values] of terms) for (let i = 0; i < sum.length; i++) sum[i]! += factor * values[i]!
  return sum
}
