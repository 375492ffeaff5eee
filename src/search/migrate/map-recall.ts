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
 * For texts and for the sample's pictures, each of which is left out of its own hits.
 *
 * @param texts unit vectors [T, dim] @param encoded [N, dim] of the sample @param mapped the same pictures'
 * @param pictures that the index has
 */
export function recallsOfMap(
  texts: Float32Array,
  encoded: Float32Array,
  mapped: Float32Array,
  dim: number,
  pictures: number,
): { readonly text: Recall; readonly picture: Recall } {
  const [ofTexts, ofPictures] = [texts, encoded].map((queries) => measure(queries, encoded, mapped, dim))
  const sample = encoded.length / dim
  // A model's texts may all be near each other, and few depths say little of them: pictures tell how recall falls.
  const shift = slopeOf(ofPictures!, sample) * Math.log(sample / pictures)
  return { text: recallFrom(ofTexts!, shift), picture: recallFrom(ofPictures!, shift) }
}

interface Measured {
  readonly queries: number
  readonly byDepth: readonly { readonly mean: number; readonly margin: number }[]
}

function measure(queries: Float32Array, encoded: Float32Array, mapped: Float32Array, dim: number): Measured {
  const count = Math.min(queries.length / dim, mostQueries)
  const shares = Array.from({ length: count }, (_, i) => {
    const query = queries.subarray(i * dim, (i + 1) * dim)
    const own = queries === encoded ? i : -1
    const [wanted, found] = [encoded, mapped].map((rows) => best(cosines(query, rows, dim), own))
    return depths.map((depth) => shareOf(wanted!.slice(0, depth), found!.slice(0, depth)))
  })
  return { queries: count, byDepth: depths.map((_, d) => meanOf(shares.map((each) => each[d]!))) }
}

function recallFrom({ queries, byDepth }: Measured, shift: number): Recall {
  const [ten, twenty] = ([10, 20] as const).map((depth) => byDepth[depths.indexOf(depth)]!)
  const ofAll = (mean: number) => (shift === 0 ? mean : logistic(logit(mean, queries) + shift))
  return {
    ...{ queries, at10: ten!.mean, margin10: ten!.margin, at20: twenty!.mean, margin20: twenty!.margin },
    ...{ ofAll10: ofAll(ten!.mean), ofAll20: ofAll(twenty!.mean) },
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
 * 10 of many pictures are a smaller share than any that a sample has. It is not below 0: more pictures do not help.
 */
function slopeOf({ queries, byDepth }: Measured, sample: number): number {
  const used = depths.filter((depth) => depth <= sample / 5)
  const [x, y] = [used.map(Math.log), used.map((_, d) => logit(byDepth[d]!.mean, queries))]
  const [middleX, middleY] = [meanOf(x).mean, meanOf(y).mean]
  const product = x.reduce((sum, value, i) => sum + (value - middleX) * (y[i]! - middleY), 0)
  return Math.max(0, product / x.reduce((sum, value) => sum + (value - middleX) ** 2, 0))
}

/** Finite also where nothing or everything was found: as if half a hit, of ten for each query, had been the other way. */
function logit(recall: number, queries: number): number {
  const least = 1 / (20 * queries)
  const share = Math.min(1 - least, Math.max(least, recall))
  return Math.log(share / (1 - share))
}

const logistic = (value: number) => 1 / (1 + Math.exp(-value))
