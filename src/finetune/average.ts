/**
 * Weights between the start and the tuned model (WiSE-FT, arXiv 2109.01903): alpha * tuned + (1 - alpha) * start. The
 * average keeps much of what the start knows about other pictures, and is often better on the new pictures too.
 */
import { assert } from "../core/errors.ts"

export type Tensors = ReadonlyMap<string, Float32Array>

/** The shares that the probe chooses among, the preferred ones first: the paper's 0.5, then those near to it. */
export const averages = [0.5, 0.75, 0.25, 1, 0] as const

/** @param alpha share of the tuned weights, 0 to 1 */
export function averaged(start: Tensors, tuned: Tensors, alpha: number): Map<string, Float32Array> {
  return new Map(
    [...tuned].map(([path, values]) => {
      const from = start.get(path)
      assert(from?.length === values.length, `start and tuned model differ in "${path}"`)
      return [path, values.map((value, i) => between(from[i]!, value, alpha))]
    }),
  )
}

/** Exact at both ends. */
function between(start: number, tuned: number, alpha: number): number {
  if (start === tuned || alpha === 1) return tuned
  return alpha * tuned + (1 - alpha) * start
}

/** The first of those with the best score. */
export function bestOf<T extends { readonly score: number }>(candidates: readonly T[]): T {
  return candidates.reduce((best, next) => (next.score > best.score ? next : best))
}

/** Whether none of the last `patience` scores is better than the best one before them. With a patience of 0: never. */
export function isStalled(scores: readonly number[], patience: number): boolean {
  if (patience === 0 || scores.length <= patience) return false
  const before = Math.max(...scores.slice(0, -patience))
  return Math.max(...scores.slice(-patience)) <= before
}

/** Whether the last score is above all scores before. */
export function isBest(scores: readonly number[]): boolean {
  return scores.slice(0, -1).every((score) => score < scores.at(-1)!)
}
