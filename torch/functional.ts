/** Operators of several tensors: layers of a network and their loss. Shapes as in `src/tensor/tensor.ts`. */
import { full } from "./create.ts"
import { hasOperator, operator } from "./operator.ts"
import type { Tensor } from "./tensor.ts"

type Optional = Tensor | null
type Pair = number | readonly number[]

export const cat = operator<[tensors: readonly Tensor[], dim?: number], Tensor>("cat")
export const stack = operator<[tensors: readonly Tensor[], dim?: number], Tensor>("stack")

/** condition ? a : b, elementwise. */
export const where = operator<[condition: Tensor, a: Tensor, b: Tensor], Tensor>("where.self")

/** [..., I] with weight [O, I] -> [..., O] */
export const linear = operator<[input: Tensor, weight: Tensor, bias?: Optional], Tensor>("linear")

/** table [V, D], indices int64 [...] -> [..., D] */
export const embedding = operator<[table: Tensor, indices: Tensor], Tensor>("embedding")

/** Over the last dimensions, those of `shape`; variance is biased, eps inside the root. */
export const layerNorm = operator<
  [input: Tensor, shape: readonly number[], weight: Optional, bias: Optional, eps: number],
  Tensor
>("layer_norm")

/** [N, C, H, W] with weight [O, C/groups, kH, kW] -> [N, O, H', W'] */
export const conv2d = operator<
  [input: Tensor, weight: Tensor, bias?: Optional, stride?: Pair, padding?: Pair, dilation?: Pair, groups?: number],
  Tensor
>("conv2d")

/**
 * Each channel by itself: [N, C, H, W] with weight [C * M, 1, kH, kW] -> [N, C * M, H', W'], float32 on the processor,
 * without second derivatives. Faster than `conv2d` where maps are small or kernels large; the same but for the order of
 * sums.
 */
export const depthwiseConv2d = operator<
  [input: Tensor, weight: Tensor, stride: number, padding: readonly [number, number]],
  Tensor
>("mobileclip::depthwise_conv2d")

/** The exact GELU, of erf: float32 or float64 on the processor, without second derivatives. Faster than libtorch's. */
export const gelu = operator<[Tensor], Tensor>("mobileclip::gelu")

export interface BatchNorm {
  readonly weight: Optional
  readonly bias: Optional
  /** Changed in place in training: (1 - momentum) * running + momentum * batch (its variance unbiased). */
  readonly runningMean: Optional
  readonly runningVar: Optional
  readonly training: boolean
  readonly momentum: number
  readonly eps: number
}

/** [N, C, ...] normalised per channel: by the batch's statistics in training, else by the running ones. */
export function batchNorm(input: Tensor, norm: BatchNorm): Tensor {
  const { weight, bias, runningMean, runningVar, training, momentum, eps } = norm
  return batchNormOperator(input, weight, bias, runningMean, runningVar, training, momentum, eps, true)
}

export interface Attention {
  /** Added to the scores, or boolean (true: may be seen); broadcasts to [..., L, S]. */
  readonly mask?: Tensor
  /** Query i sees keys 0..i only. */
  readonly causal?: boolean
}

/** query [..., L, D], key [..., S, D], value [..., S, E] -> [..., L, E]; scores are scaled by D^-0.5. */
export function scaledDotProductAttention(query: Tensor, key: Tensor, value: Tensor, options: Attention = {}): Tensor {
  const { mask = null, causal = false } = options
  fused ??= hasOperator("scaled_dot_product_attention")
  return fused ? fusedAttention(query, key, value, mask, 0, causal) : composedAttention(query, key, value, mask, causal)
}

/** logits [N, C], targets int64 [N] -> scalar: the mean of -log softmax(logits)[target]. */
export function crossEntropy(logits: Tensor, targets: Tensor, labelSmoothing = 0): Tensor {
  return crossEntropyOperator(logits, targets, null, reduceByMean, ignoreNone, labelSmoothing)
}

let fused: boolean | undefined

/** libtorch before 2.0 has no attention operator. */
function composedAttention(query: Tensor, key: Tensor, value: Tensor, mask: Optional, causal: boolean): Tensor {
  const scale = (query.shape.at(-1) ?? 1) ** -0.5
  const scores = query.mul(scale).matmul(key.transpose(-2, -1))
  const biases = [mask && additive(mask), causal ? causalMask(scores) : null].filter((bias) => bias !== null)
  return biases
    .reduce((sum, bias) => sum.add(bias), scores)
    .softmax(-1)
    .matmul(value)
}

function additive(mask: Tensor): Tensor {
  if (mask.dtype !== "bool") return mask
  return maskedFill(full(mask.shape, Number.NEGATIVE_INFINITY, { device: mask.device }), mask, 0)
}

function causalMask(scores: Tensor): Tensor {
  const options = { dtype: scores.dtype, device: scores.device }
  return full(scores.shape.slice(-2), Number.NEGATIVE_INFINITY, options).triu(1)
}

const reduceByMean = 1
const ignoreNone = -100
const maskedFill = operator<[Tensor, mask: Tensor, value: number], Tensor>("masked_fill.Scalar")
const fusedAttention = operator<[Tensor, Tensor, Tensor, Optional, dropout: number, causal: boolean], Tensor>(
  "scaled_dot_product_attention",
)
const crossEntropyOperator = operator<[Tensor, Tensor, null, number, number, number], Tensor>("cross_entropy_loss")
const batchNormOperator = operator<
  [Tensor, Optional, Optional, Optional, Optional, boolean, number, number, cudnn: boolean],
  Tensor
>("batch_norm")
