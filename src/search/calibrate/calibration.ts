/**
 * How unusual a cosine is. A cosine of CLIP says little by itself: what is a clear match for one query is noise for another.
 * It is compared with two sides, as the S-norm of speaker verification does: the query's cosines over pictures of the index,
 * and generic captions' cosines over the picture. The mean of both, in standard deviations, is z. A divider says from which z
 * on a picture counts as a match: what the best of as many unrelated pictures would reach, learnt from the generic captions.
 */
import { cosines } from "../../core/arrays/similarity.ts"
import { UserError } from "../../core/errors.ts"
import { type Background, requireBackground } from "./background.ts"
import type { KeptBackground } from "./kept-statistics.ts"
import {
  type BackgroundQueries,
  type BestOf,
  bothZ,
  leastPictures,
  limited,
  product,
  queryScores,
  queryZ,
  type Statistics,
  statisticsOf,
} from "./statistics.ts"

/**
 * `text`: the vector of one text; `picture`: of one picture; `mixed`: of anything else, such as two texts together, a
 * negated text or a text with a picture.
 */
export type QueryKind = "text" | "picture" | "mixed"

/** "weak": no better than what unrelated queries reach by chance; such hits come after all matches. */
export type Verdict = "match" | "weak"

/** What z was compared with; `none`: the index has too few pictures for this kind of query. */
export type Basis = "captions and pictures" | "captions" | "pictures" | "none"

export interface Calibration {
  readonly kind: QueryKind
  readonly basis: Basis
  /** Pictures that were searched. */
  readonly searched: number
  /** False without a basis, and for pictures by default. */
  readonly hasDivider: boolean
  /** The divider, in z; -Infinity where there is none. */
  readonly threshold: number
  /** Standard deviation of the query's cosines over pictures of the index, as z takes it; null where it is not known. */
  readonly deviation: number | null
  /** z of a picture's cosine with the query; NaN without a basis. `picture` [dim] has unit length. */
  zOf(cosine: number, picture: Float32Array): number
  /** Null without a divider. NaN is weak. */
  verdict(z: number): Verdict | null
}

export interface CalibrationOptions {
  /**
   * How far above generic captions' best pictures the divider is: 0 is their median, 1 as far above it as the lowest tenth
   * lies below.
   */
  readonly strictness?: number | undefined
}

/**
 * Strictness by kind. Tuned halves of two small models asked for 1.2 and 3.5 (`bench/search-calibration.ts`); weaker matches
 * stay visible, so a divider that is a little too low or too high loses nothing. For pictures as queries this divider missed
 * more than 85 % of what was there, because the pictures of an index mostly have relatives in it, and its own best ones are matches:
 * their z is given, without a divider.
 */
export const defaultStrictness = {
  text: 1.5,
  picture: Number.NEGATIVE_INFINITY,
  mixed: 1.5,
} as const satisfies Record<QueryKind, number>

/**
 * The calibration of a query [dim] of unit length, searched over `searched` pictures. The background must not be written to:
 * its statistics are kept as long as the object lives.
 *
 * @throws UserError where the query or the background is not of `dim` finite numbers a vector
 */
export function calibrationOf(
  query: Float32Array,
  kind: QueryKind,
  background: Background | KeptBackground,
  searched: number,
  { strictness = defaultStrictness[kind] }: CalibrationOptions = {},
): Calibration {
  requireQuery(query, background.dim)
  const { scale, basis, best, deviation } = scaleOf(query, kind, ownStatistics(background))
  const hasDivider = scale !== null && strictness > Number.NEGATIVE_INFINITY
  const threshold = hasDivider ? bestOf(best, searched, strictness) : Number.NEGATIVE_INFINITY
  return {
    ...{ kind, basis, searched, hasDivider, threshold, deviation },
    zOf: scale ?? (() => Number.NaN),
    verdict: (z) => (hasDivider ? (z > threshold ? "match" : "weak") : null),
  }
}

interface Scale {
  readonly basis: Basis
  readonly scale: Calibration["zOf"] | null
  /** What unrelated queries reach. */
  readonly best: readonly BestOf[]
  readonly deviation: number | null
}

const noScale: Scale = { basis: "none", scale: null, best: [], deviation: null }

function scaleOf(query: Float32Array, kind: QueryKind, kept: OwnStatistics): Scale {
  if (kind === "mixed") return mixedScale(query, kept)
  const statistics = kept.of(kind === "text" ? "prompts" : "pictures")
  if (statistics === null) return noScale
  const own = kept.knowsQueries ? limited(kept.scoresOf(query), statistics) : null
  const scale = (cosine: number, picture: Float32Array) =>
    bothZ(cosine, product(picture, statistics.meanQuery), own, statistics)
  const basis = kind === "picture" ? "pictures" : own === null ? "captions" : "captions and pictures"
  return { basis, scale, best: statistics.best.both, deviation: own?.spread ?? null }
}

/** By the query's side alone, with the divider of texts by this side. */
function mixedScale(query: Float32Array, kept: OwnStatistics): Scale {
  const statistics = kept.of("prompts")
  if (!kept.knowsQueries || statistics === null) return noScale
  const own = kept.scoresOf(query)
  return {
    basis: "pictures",
    scale: (cosine) => queryZ(cosine, own),
    best: statistics.best.query,
    deviation: own.spread,
  }
}

/** The divider for `searched` pictures: between the groups that were looked at by a straight line over their logarithm, above them by its last slope. */
function bestOf(levels: readonly BestOf[], searched: number, strictness: number): number {
  const heights = levels.map(({ median, low }) => median + strictness * (median - low))
  // The best of more pictures is not worse: what says otherwise is noise.
  for (let i = 1; i < heights.length; i++) heights[i] = Math.max(heights[i]!, heights[i - 1]!)
  const [place, last] = [Math.log2(Math.max(searched, 1)), heights.length - 1]
  if (place >= last) return heights[last]! + slopeAt(heights) * (place - last)
  const below = Math.floor(place)
  return heights[below]! + (heights[below + 1]! - heights[below]!) * (place - below)
}

/** What a doubling adds, by the last three of them. */
function slopeAt(heights: readonly number[]): number {
  const last = heights.length - 1
  const steps = Math.min(3, last)
  return steps === 0 ? 0 : (heights[last]! - heights[last - steps]!) / steps
}

/** A background's statistics, computed when they are first needed, where the index does not have them. */
class OwnStatistics {
  readonly knowsQueries: boolean
  private readonly kept = new Map<BackgroundQueries, Statistics | null>()

  constructor(private readonly background: Background | KeptBackground) {
    requireBackground(background)
    this.knowsQueries = background.pictures.length / background.dim >= leastPictures
  }

  of(queries: BackgroundQueries): Statistics | null {
    if ("statistics" in this.background && this.background.statistics) return this.background.statistics[queries]
    if (!this.kept.has(queries)) this.kept.set(queries, statisticsOf(this.background, queries))
    return this.kept.get(queries)!
  }

  scoresOf(query: Float32Array) {
    return queryScores(cosines(query, this.background.pictures, this.background.dim))
  }
}

const ofBackgrounds = new WeakMap<Background, OwnStatistics>()

function ownStatistics(background: Background | KeptBackground): OwnStatistics {
  const kept = ofBackgrounds.get(background) ?? new OwnStatistics(background)
  ofBackgrounds.set(background, kept)
  return kept
}

function requireQuery(query: Float32Array, dim: number): void {
  if (query.length === dim && query.every(Number.isFinite)) return
  throw new UserError(
    `a query of ${dim} finite numbers was expected, as the background's vectors have, not ${query.length}`,
    "encode the query with the model of the index",
  )
}
