/** A sum of batch norms, several of them of one input: what MobileOne blocks are while they train. */
import type { BatchNorm } from "./functional.ts"
import { operator } from "./operator.ts"
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
 * base (null: 0) + factor * (sum of the terms), with the terms' running statistics updated. Every input is read for its
 * mean and variance once, and the statistics of `scale * input` are derived from them. float32 or float64 on the
 * processor; without second derivatives.
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

function addNormsOfOne(base: Tensor | null, terms: readonly NormTerm[], settings: NormSettings): Tensor {
  const scaled = terms.filter(({ scale }) => scale)
  return normSum(
    base,
    terms[0]!.input,
    terms.map(({ weight }) => weight),
    terms.map(({ bias }) => bias),
    scaled.map(({ scale }) => scale!),
    terms.map((term) => scaled.indexOf(term)),
    terms.map(({ sign }) => sign),
    settings.factor ?? null,
    terms.flatMap(({ runningMean, runningVar }) => (runningMean && runningVar ? [runningMean, runningVar] : [])),
    settings.momentum,
    settings.eps,
  )
}

type Tensors = readonly Tensor[]
const normSum = operator<
  [
    ...[base: Tensor | null, input: Tensor, weights: Tensors, biases: Tensors, scales: Tensors],
    ...[scaled: readonly number[], signs: readonly number[], factor: Tensor | null, running: Tensors],
    ...[momentum: number, eps: number],
  ],
  Tensor
>("mobileclip::norm_sum")
