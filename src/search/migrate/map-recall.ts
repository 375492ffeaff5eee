/** How much of what encoded vectors find is found by mapped ones. */
import { cosines } from "../../core/arrays/similarity.ts"

export interface Recall {
  readonly queries: number
  /** Mean share of the first 10, and 20, hits by encoded vectors that are among as many by mapped ones. */
  readonly at10: number
  readonly at20: number
  /** Half of the 95 % interval of each, over the queries. */
  readonly margin10: number
  readonly margin20: number
}

/** More would sharpen little: each is compared with all of the sample. */
const mostQueries = 500

/** @param areGallery query i is picture i itself, which is left out of its hits */
export function measureRecall(
  queries: Float32Array,
  encoded: Float32Array,
  mapped: Float32Array,
  dim: number,
  areGallery: boolean,
): Recall {
  const count = Math.min(queries.length / dim, mostQueries)
  const shares = Array.from({ length: count }, (_, i) => {
    const query = queries.subarray(i * dim, (i + 1) * dim)
    const orders = [encoded, mapped].map((rows) => best(cosines(query, rows, dim), areGallery ? i : -1))
    return [10, 20].map((k) => shareOf(orders[0]!.slice(0, k), orders[1]!.slice(0, k)))
  })
  const [ten, twenty] = [0, 1].map((k) => meanOf(shares.map((each) => each[k]!)))
  return { queries: count, at10: ten!.mean, margin10: ten!.margin, at20: twenty!.mean, margin20: twenty!.margin }
}

function best(scores: Float32Array, without: number): number[] {
  const order = [...scores.keys()].filter((i) => i !== without)
  return order.sort((a, b) => scores[b]! - scores[a]! || a - b).slice(0, 20)
}

function shareOf(wanted: readonly number[], found: readonly number[]): number {
  return wanted.filter((i) => found.includes(i)).length / wanted.length
}

function meanOf(values: readonly number[]): { mean: number; margin: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, values.length - 1)
  return { mean, margin: 1.96 * Math.sqrt(variance / values.length) }
}
