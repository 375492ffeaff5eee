/** A sum of batch norms, several of them of one input: what MobileOne blocks are while they train. */
import { noGrad } from "./context.ts"
import { ones } from "./create.ts"
import { type BatchNorm, stack } from "./functional.ts"
import { operator } from "./operator.ts"
import { scope } from "./scope.ts"
import type { Tensor } from "./tensor.ts"

/** sign * batchNorm(scale * input), by the batch's statistics. C channels. */
export interface NormTerm extends Pick<BatchNorm, "runningMean" | "runningVar"> {
  /** [N, C, ...] */
  readonly input: Tensor
  /** A factor per channel; absent: 1. C values */
  readonly scale?: Tensor | undefined
  /** [C] */
  readonly weight: Tensor
  /** [C] */
  readonly bias: Tensor
  readonly sign: 1 | -1
}

export interface NormSettings {
  /** On the sum of the terms, per channel: C values. Absent: 1. */
  readonly factor?: Tensor | undefined
  readonly momentum: number
  readonly eps: number
}

/**
 * base (null: 0) + factor * (sum of the terms), with the terms' running statistics updated. Every input is read for its mean and
 * variance once, and the statistics of `scale * input` are derived from them. float32 or float64 on the processor.
 */
export function addNorms(base: Tensor | null, terms: readonly NormTerm[], settings: NormSettings): Tensor {
  if (terms.length > mostTerms) throw new Error(`addNorms: a list of ${terms.length} terms is too long`)
  // The base first: where it is also an input, its two gradients are made as one.
  const inputs = new Set([base, ...terms.map(({ input }) => input)])
  const sum = [...inputs].reduce((sum, input) => {
    const own = terms.filter((term) => term.input === input)
    return own.length > 0 ? addNormsOfOne(sum, own, settings) : sum
  }, base)
  if (!sum) throw new Error("no terms to add")
  return sum
}

/** As many as the addon takes in a list: more may be holes, which would be filled. */
const mostTerms = 2 ** 20

function addNormsOfOne(
  base: Tensor | null,
  terms: readonly NormTerm[],
  { factor, momentum, eps }: NormSettings,
): Tensor {
  const { input } = terms[0]!
  const gains = stack(terms.map(signed("weight")))
  // Not a stack's sum: the biases' gradients would be one row of memory, and clipping would scale it once for each.
  const biases = terms.map(signed("bias")).reduce((sum, bias) => sum.add(bias))
  const times = (x: Tensor) => (factor ? x.mul(factor.reshape([-1])) : x)
  const slopes = stack(terms.map(({ scale, weight }) => scale?.reshape([-1]) ?? onesLike(weight)))
  const [sum, mean, variance] = normSum(base, input, times(gains), slopes, times(biases), eps)
  const perChannel = input.numel / mean.numel
  noGrad(() => scope(() => track(terms, mean, variance.mul(perChannel / (perChannel - 1)), momentum)))
  return sum
}

const signed = (name: "weight" | "bias") => (term: NormTerm) => (term.sign < 0 ? term[name].neg() : term[name])

function onesLike({ shape, dtype, device }: Tensor): Tensor {
  return ones(shape, { dtype, device })
}

/** running = (1 - momentum) * running + momentum * batch */
function track(terms: readonly NormTerm[], mean: Tensor, variance: Tensor, momentum: number): void {
  for (const { scale: given, runningMean, runningVar } of terms) {
    const scale = given?.reshape([-1])
    runningMean?.mul_(1 - momentum).add_((scale ? mean.mul(scale) : mean).mul(momentum))
    runningVar?.mul_(1 - momentum).add_((scale ? variance.mul(scale).mul(scale) : variance).mul(momentum))
  }
}

const normSum = operator<
  [base: Tensor | null, input: Tensor, gains: Tensor, slopes: Tensor, bias: Tensor, eps: number],
  [sum: Tensor, mean: Tensor, variance: Tensor]
>("mobileclip::norm_sum")
