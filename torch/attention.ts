/** Attention of several heads on the processor, without copies by head or weights that are kept for the gradients. */
import { operator } from "./operator.ts"
import type { Tensor } from "./tensor.ts"

/**
 * Queries [N, L, D] over keys and values [N, S, D] -> [N, L, D], scores scaled by (D/heads)^-0.5; `causal`: query i sees
 * the first i + 1 keys; `bias` [N, S] is added to the scores of every query, and gets no gradient. float32 or float64 on
 * the processor; without second derivatives.
 *
 * @throws Error when shapes, dtypes or devices do not fit
 */
export const attention = operator<
  [query: Tensor, key: Tensor, value: Tensor, heads: number, causal: boolean, bias?: Tensor | null],
  Tensor
>("mobileclip::attention")

/**
 * The same of queries, keys and values side by side, [N, L, 3D] -> [N, L, D], whose gradient is one matrix, too.
 *
 * @throws Error when shape, dtype or device do not fit
 */
export const selfAttention = operator<[queriesKeysValues: Tensor, heads: number, causal: boolean], Tensor>(
  "mobileclip::self_attention",
)
