/**
 * How unrelated queries score in a background. Captions of the background are taken as queries over its pictures; for queries
 * that are pictures, its pictures are both. This says where a query's cosines lie as a rule, how far they spread, and what the
 * best of N unrelated pictures reaches.
 *
 * Shapes: Q queries of the background (P captions, or some of its pictures), M pictures, D = dim.
 */
import { median, quantile } from "../../core/arrays/quantile.ts"
import { cosines } from "../../core/arrays/similarity.ts"
import type { Background } from "./background.ts"

/** What is taken for queries over the background's pictures. */
export type BackgroundQueries = "prompts" | "pictures"

/** Both sides, or the query's alone: a combined query does not lie where single captions or pictures do. */
export type Sides = "both" | "query"

export interface Statistics {
  /** [D] The mean of the background's queries: its product with a picture is what these score on it, on average. */
  readonly meanQuery: Float32Array
  /** Standard deviation of the cosines of one picture with the background's queries. */
  readonly pictureSpread: number
  /** Median over the background's queries of their own median cosine, and how far that one varies (standard deviation, by MAD). */
  readonly location: { readonly center: number; readonly spread: number }
  /** Standard deviation of one query's cosines over the pictures. */
  readonly querySpread: number
  /** z of the best of 1, 2, 4, ... pictures for the background's queries. */
  readonly best: Readonly<Record<Sides, readonly BestOf[]>>
}

/** What the best of 2^i pictures reaches, over the background's queries and groups of its pictures. */
export interface BestOf {
  readonly median: number
  /** The value that nine of ten exceed. */
  readonly low: number
}

/** The location and spread of one query's cosines over the background's pictures. */
export interface QueryScores {
  readonly center: number
  readonly spread: number
}

/** With fewer pictures a query's own location and spread are not known. */
export const leastPictures = 8

/** Queries of the background where its pictures are the queries. */
const mostPictureQueries = 256

/** Groups of pictures for each query from which a best one is taken: enough for quantiles. */
const mostGroups = 32

/** From MAD to the standard deviation, for a normal distribution. */
const madToDeviation = 1.4826

/** Null where there is no query, or no picture; for pictures as queries, fewer than `leastPictures`. */
export function statisticsOf({ dim, prompts, pictures }: Background, queries: BackgroundQueries): Statistics | null {
  const ofPictures = queries === "pictures"
  const rows = ofPictures ? pictures.subarray(0, mostPictureQueries * dim) : prompts
  const [q, m] = [rows.length / dim, pictures.length / dim]
  if (q === 0 || m === 0 || (ofPictures && m < leastPictures)) return null
  const scores = cosines(rows, pictures, dim)
  // A picture is not compared with itself.
  if (ofPictures) for (let i = 0; i < q; i++) scores[i * m + i] = Number.NaN
  return fromScores(scores, meanRow(rows, dim), pictures, m)
}

/** Median and standard deviation of cosines; NaN counts as absent. */
export function queryScores(cosines: Float32Array): QueryScores {
  const known = cosines.filter((cosine) => !Number.isNaN(cosine))
  return { center: median(known), spread: atLeastTiny(deviation(known)) }
}

/** The query's side: its cosine, compared with its cosines over the background's pictures. */
export function queryZ(cosine: number, { center, spread }: QueryScores): number {
  return (cosine - center) / spread
}

/**
 * The same where the query is like the background's: a location far above theirs, or another spread, is put down to pictures
 * that match, and limited.
 */
export function limited(scores: QueryScores, { location, querySpread }: Statistics): QueryScores {
  const [least, most] = [0.75 * querySpread, 1.25 * querySpread]
  return {
    center: Math.min(scores.center, location.center + 1.5 * location.spread),
    spread: Math.min(Math.max(scores.spread, least), most),
  }
}

/** The mean of both sides; the picture's alone where the query's cosines are not known (null). */
export function bothZ(
  cosine: number,
  meanCosine: number,
  scores: QueryScores | null,
  { pictureSpread }: Statistics,
): number {
  const ofPicture = (cosine - meanCosine) / pictureSpread
  return scores === null ? ofPicture : (queryZ(cosine, scores) + ofPicture) / 2
}

/** The product of two vectors, in double precision. */
export function product(a: Float32Array, b: Float32Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}

function fromScores(scores: Float32Array, meanQuery: Float32Array, pictures: Float32Array, m: number): Statistics {
  const each = Array.from({ length: scores.length / m }, (_, row) => queryScores(rowOf(scores, m, row)))
  const centers = each.map(({ center }) => center)
  const center = median(centers)
  const partial = {
    meanQuery,
    pictureSpread: atLeastTiny(median(columnDeviations(scores, m))),
    location: { center, spread: madToDeviation * median(centers.map((value) => Math.abs(value - center))) },
    querySpread: atLeastTiny(median(each.map(({ spread }) => spread))),
    best: { both: [], query: [] },
  }
  const dim = meanQuery.length
  const means = Array.from({ length: m }, (_, column) => product(rowOf(pictures, dim, column), meanQuery))
  const knowsQueries = m >= leastPictures
  const owns = each.map((own) => (knowsQueries ? limited(own, partial) : null))
  const both = mapRows(scores, m, (cosine, row, column) => bothZ(cosine, means[column]!, owns[row]!, partial))
  const query = mapRows(scores, m, (cosine, row) => queryZ(cosine, each[row]!))
  return { ...partial, best: { both: bestOfGroups(both, m), query: bestOfGroups(query, m) } }
}

/** For groups of 1, 2, 4, ... pictures; each step takes the better one of two neighbours. Writes to `z`. */
function bestOfGroups(z: Float32Array, m: number): BestOf[] {
  const levels: BestOf[] = []
  for (let groups = m; groups >= 1; groups = halveGroups(z, m, groups)) {
    const some = firstColumns(z, m, Math.min(groups, mostGroups))
    levels.push({ median: median(some), low: quantile(some, 0.1) })
  }
  return levels
}

/** Two neighbours each become one, at the row's beginning; returns how many there are then. */
function halveGroups(z: Float32Array, m: number, groups: number): number {
  const half = Math.floor(groups / 2)
  for (let start = 0; start < z.length; start += m)
    for (let i = 0; i < half; i++) z[start + i] = better(z[start + 2 * i]!, z[start + 2 * i + 1]!)
  return half
}

/** Without those that are NaN. */
function firstColumns(z: Float32Array, m: number, count: number): number[] {
  const kept: number[] = []
  for (let start = 0; start < z.length; start += m)
    for (let i = start; i < start + count; i++) if (!Number.isNaN(z[i]!)) kept.push(z[i]!)
  return kept
}

/** The larger one; NaN counts as absent. */
function better(a: number, b: number): number {
  return b > a || Number.isNaN(a) ? b : a
}

function mapRows(
  values: Float32Array,
  width: number,
  change: (value: number, row: number, column: number) => number,
): Float32Array {
  const result = new Float32Array(values.length)
  for (let i = 0, row = 0; i < values.length; row++)
    for (let column = 0; column < width; column++, i++) result[i] = change(values[i]!, row, column)
  return result
}

/** Standard deviation of each column; NaN counts as absent. */
function columnDeviations(scores: Float32Array, m: number): Float64Array {
  const [counts, sums, squares] = [new Float64Array(m), new Float64Array(m), new Float64Array(m)]
  for (let i = 0; i < scores.length; i++) {
    const [column, value] = [i % m, scores[i]!]
    if (Number.isNaN(value)) continue
    counts[column]!++
    sums[column]! += value
    squares[column]! += value * value
  }
  // Cosines are at most 1 and their deviations far above the rounding of doubles, so the short formula is exact enough.
  return sums.map((sum, i) => Math.sqrt(Math.max(squares[i]! / counts[i]! - (sum / counts[i]!) ** 2, 0)))
}

function rowOf(values: Float32Array, width: number, row: number): Float32Array {
  return values.subarray(row * width, (row + 1) * width)
}

function meanRow(rows: Float32Array, dim: number): Float32Array {
  const sums = new Float64Array(dim)
  for (let i = 0; i < rows.length; i++) sums[i % dim]! += rows[i]!
  return Float32Array.from(sums, (sum) => (sum * dim) / rows.length)
}

function deviation(values: Float32Array): number {
  let [sum, squares] = [0, 0]
  for (const value of values) sum += value
  const mean = sum / values.length
  for (const value of values) squares += (value - mean) ** 2
  return Math.sqrt(squares / values.length)
}

/** Against division by zero, where all captions or all pictures have the same vector. */
function atLeastTiny(value: number): number {
  return Math.max(value, 1e-6)
}
