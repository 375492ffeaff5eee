/**
 * How much of what encoded vectors find is found by mapped ones: measured among the pictures of a sample, and estimated among
 * all of an index. The best 10 of more pictures lie closer together, and the same errors of a map confuse more of them.
 */
import { cosines } from "../../core/arrays/similarity.ts"
import { TopHits } from "../scan/top-hits.ts"

export interface Recall {
  readonly queries: number
  /** Mean share of the first 10, and 20, hits by encoded vectors that are among as many by mapped ones, in the sample. */
  readonly at10: number
  readonly at20: number
  /** Half of the 95 % interval of each, over the queries. */
  readonly margin10: number
  readonly margin20: number
  /** Estimates of both among all pictures of the index. */
  readonly ofAll10: number
  readonly ofAll20: number
}

/** More would sharpen little: each is compared with all of the sample. */
const mostQueries = 500

/** Numbers of hits at which the recall is measured. */
const depths = [1, 2, 5, 10, 20] as const

/**
 * @param encoded unit vectors [N, dim] of the sample @param mapped the same pictures'
 * @param areGallery query i is picture i itself, which is left out of its hits
 * @param pictures that the index has
 */
export function recallOfMap(
  queries: Float32Array,
  encoded: Float32Array,
  mapped: Float32Array,
  dim: number,
  areGallery: boolean,
  pictures: number,
): Recall {
  const count = Math.min(queries.length / dim, mostQueries)
  const shares = Array.from({ length: count }, (_, i) => {
    const query = queries.subarray(i * dim, (i + 1) * dim)
    const [wanted, found] = [encoded, mapped].map((rows) => best(cosines(query, rows, dim), areGallery ? i : -1))
    return depths.map((depth) => shareOf(wanted!.slice(0, depth), found!.slice(0, depth)))
  })
  const means = depths.map((_, d) => meanOf(shares.map((each) => each[d]!)))
  const [ten, twenty] = [means[depths.indexOf(10)]!, means[depths.indexOf(20)]!]
  const sample = encoded.length / dim
  const slope = slopeOf(
    means.map(({ mean }, d) => [depths[d]!, mean] as const).filter(([depth]) => depth <= sample / 5),
    count,
  )
  const ofAll = (mean: number) => logistic(logit(mean, count) + slope * Math.log(sample / pictures))
  return {
    ...{ queries: count, at10: ten.mean, margin10: ten.margin, at20: twenty.mean, margin20: twenty.margin },
    ...{ ofAll10: ofAll(ten.mean), ofAll20: ofAll(twenty.mean) },
  }
}

function best(scores: Float32Array, without: number): number[] {
  const top = new TopHits(depths.at(-1)!)
  scores.forEach((score, i) => {
    if (i !== without) top.offer(score, i)
  })
  return [...top.hits().positions]
}

function shareOf(wanted: readonly number[], found: readonly number[]): number {
  return wanted.filter((i) => found.includes(i)).length / wanted.length
}

function meanOf(values: readonly number[]): { mean: number; margin: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, values.length - 1)
  return { mean, margin: 1.96 * Math.sqrt(variance / values.length) }
}

/**
 * By how much the logit of the recall rises with the logarithm of the share of pictures that are asked for, by least squares:
 * 10 of many pictures are a smaller share than any that a sample has. Not below 0, which more pictures do not do.
 */
function slopeOf(points: readonly (readonly [depth: number, recall: number])[], queries: number): number {
  const [x, y] = [points.map(([depth]) => Math.log(depth)), points.map(([, recall]) => logit(recall, queries))]
  const [middleX, middleY] = [meanOf(x).mean, meanOf(y).mean]
  const product = x.reduce((sum, value, i) => sum + (value - middleX) * (y[i]! - middleY), 0)
  return Math.max(0, product / x.reduce((sum, value) => sum + (value - middleX) ** 2, 0))
}

/** Finite also where nothing or everything was found: as if one of twice as many hits had been the other way. */
function logit(recall: number, queries: number): number {
  const least = 1 / (20 * queries)
  const share = Math.min(1 - least, Math.max(least, recall))
  return Math.log(share / (1 - share))
}

const logistic = (value: number) => 1 / (1 + Math.exp(-value))
