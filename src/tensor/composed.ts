/** Operations made of other operations, for interpreters that have nothing better. */
import type { Parameter } from "./parameter.ts"
import type { NormTerm, SelfAttentionOptions, Tensor } from "./tensor.ts"

export function composedSelfAttention(queriesKeysValues: Tensor, options: SelfAttentionOptions): Tensor {
  const [query, key, value] = queriesKeysValues.split(2, 3) as [Tensor, Tensor, Tensor]
  return query.attention(key, value, options)
}

export function composedNorms(base: Tensor, terms: readonly NormTerm[], factor?: Parameter): Tensor {
  const norms = terms.map(({ input, scale, norm, sign = 1 }) => ({ sign, value: scaled(input, scale).batchNorm(norm) }))
  const [first, ...others] = norms
  const start = first!.sign < 0 ? first!.value.mul(-1) : first!.value
  const sum = others.reduce((total, { sign, value }) => (sign < 0 ? total.sub(value) : total.add(value)), start)
  return base.add(factor ? sum.mul(factor) : sum)
}

function scaled(input: Tensor, scale: Parameter | undefined): Tensor {
  return scale ? input.conv2d(scale, null, { stride: 1, padding: [0, 0], groups: scale.shape[0]! }) : input
}
