/** AdamW's update of a list of parameters. Source: https://arxiv.org/abs/1711.05101, PyTorch `torch.optim.AdamW`. */
import { operator } from "./operator.ts"
import type { Tensor } from "./tensor.ts"

/** Lists of one length, whose tensors at one place have one shape, dtype and device. */
export interface AdamWTensors {
  readonly parameters: readonly Tensor[]
  readonly gradients: readonly Tensor[]
  readonly firstMoments: readonly Tensor[]
  readonly secondMoments: readonly Tensor[]
}

export interface AdamWSettings {
  readonly learningRate: number
  readonly beta1: number
  readonly beta2: number
  /** Added to the root of the second moment. */
  readonly eps: number
  readonly weightDecay: number
  /** Including this one: from 1. */
  readonly updates: number
  /** Factor on the gradients, for clipping; 1 by default. */
  readonly gradientScale?: number
}

/**
 * Updates parameters and moments in place: in one pass over memory where all are float32, or all float64, each in one
 * layout with its gradient and moments, on the processor, or on a GPU with libtorch 2.1 or later; in eight elsewhere.
 * Where another scale than 1 is given, the gradients may or may not be multiplied by it afterwards.
 *
 * @throws Error when lists, shapes, dtypes or devices differ, or when a gradient would have to be recorded: it belongs in `noGrad`
 */
export function adamW(tensors: AdamWTensors, settings: AdamWSettings): void {
  const { gradientScale = 1 } = settings
  const onGpu = tensors.parameters[0]?.device.startsWith("cuda") ?? false
  if (!onGpu && onePass(...argumentsOf(tensors, settings), gradientScale)) return
  if (gradientScale !== 1) mulScalar(tensors.gradients, gradientScale)
  if (!(onGpu && libtorchAdamW(tensors, settings))) foreachAdamW(tensors, settings)
}

/** By libtorch's own operator. False, and nothing is changed, where it has none for these tensors. */
export function libtorchAdamW(tensors: AdamWTensors, settings: AdamWSettings): boolean {
  return fused(...argumentsOf(tensors, settings))
}

function argumentsOf(tensors: AdamWTensors, settings: AdamWSettings): [...Lists, ...Numbers] {
  const { parameters, gradients, firstMoments, secondMoments } = tensors
  const { learningRate, beta1, beta2, eps, weightDecay, updates } = settings
  return [parameters, gradients, firstMoments, secondMoments, learningRate, beta1, beta2, eps, weightDecay, updates]
}

/** The same of libtorch's operators on lists, for every device, dtype and layout. */
export function foreachAdamW(tensors: AdamWTensors, settings: AdamWSettings): void {
  const { parameters, gradients, firstMoments: m, secondMoments: v } = tensors
  const { learningRate, beta1, beta2, eps, weightDecay, updates } = settings
  if (weightDecay > 0) mulScalar(parameters, 1 - learningRate * weightDecay)
  mulScalar(m, beta1)
  add(m, gradients, 1 - beta1)
  mulScalar(v, beta2)
  addcmul(v, gradients, gradients, 1 - beta2)
  // m / (sqrt(v) / correction + eps), its factor moved into eps and the step: one pass over all weights less.
  const correction = Math.sqrt(1 - beta2 ** updates)
  const denominators = sqrt(v)
  addScalar(denominators, eps * correction)
  addcdiv(parameters, m, denominators, (-learningRate * correction) / (1 - beta1 ** updates))
}

type Tensors = readonly Tensor[]
type Numbers = [learningRate: number, beta1: number, beta2: number, eps: number, weightDecay: number, updates: number]
type Lists = [parameters: Tensors, gradients: Tensors, firstMoments: Tensors, secondMoments: Tensors]
const onePass = operator<[...Lists, ...Numbers, gradientScale: number], boolean>("mobileclip::adamw_")
const fused = operator<[...Lists, ...Numbers], boolean>("mobileclip::fused_adamw_")
const mulScalar = operator<[self: Tensors, factor: number], void>("_foreach_mul_.Scalar")
const addScalar = operator<[self: Tensors, summand: number], void>("_foreach_add_.Scalar")
const add = operator<[self: Tensors, other: Tensors, alpha: number], void>("_foreach_add_.List")
const addcmul = operator<[self: Tensors, a: Tensors, b: Tensors, value: number], void>("_foreach_addcmul_.Scalar")
const addcdiv = operator<[self: Tensors, a: Tensors, b: Tensors, value: number], void>("_foreach_addcdiv_.Scalar")
const sqrt = operator<[tensors: Tensors], Tensor[]>("_foreach_sqrt")
