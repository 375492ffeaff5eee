/** What a search gives: a page of hits, the best first. A hit is a content, which has a path for each of its files. */
import type { Verdict } from "../calibrate/calibration.ts"

/** How well the words of the query fit a hit's paths and caption. */
export interface WordScore {
  readonly score: number
  /** The words of the query that were found. */
  readonly matched: readonly string[]
}

export interface SearchHit {
  /** From 1 on, counted over all pages of a query. */
  readonly rank: number
  /** What hits are ordered by: the cosine, with the share of the words where they are searched; NaN without a query. */
  readonly score: number
  /** Between the query's vector and the picture's, from -1 to 1; NaN without a query. */
  readonly cosine: number
  /** Standard deviations by which the score is above this query's background, its words included; null where the index has none. */
  readonly z: number | null
  /** Null where the query has no divider: with pictures alone, or in an index of few pictures. */
  readonly verdict: Verdict | null
  /** Null where words are not searched. */
  readonly words: WordScore | null
  /** Absolute paths of the files with these bytes, in order; at least one. */
  readonly paths: readonly string[]
  /** In pixels, as the picture is seen. */
  readonly width: number
  readonly height: number
  /** Local time of the camera, "2023-07-14T18:02:11"; null where the file does not say it. */
  readonly taken: string | null
  readonly camera: string | null
  readonly caption: string | null
  /** In degrees, north and east positive; null where the file does not say it. */
  readonly latitude: number | null
  readonly longitude: number | null
  /** SHA-256 of the bytes, hexadecimal. */
  readonly hash: string
  /** The row of its vector. */
  readonly position: number
}

/** What gave the scores of a page. */
export interface Explanation {
  /** What cosines were compared with. */
  readonly basis: string
  /** The z from which on a picture is a match; null where the query has no divider. */
  readonly threshold: number | null
  readonly text: string
  /** What all words of the query add to a cosine, and the share of each. */
  readonly wordWeight: number
  readonly words: readonly { readonly word: string; readonly weight: number }[]
  readonly hits: readonly HitExplanation[]
}

export interface HitExplanation {
  readonly rank: number
  /** score = cosine + words */
  readonly cosine: number
  readonly words: number | null
  readonly score: number
  /** The score's, by which the verdict is. */
  readonly z: number | null
  /** The cosine's alone. */
  readonly cosineZ: number | null
  /** The cosine of each term alone. */
  readonly terms: readonly { readonly term: string; readonly weight: number; readonly cosine: number }[]
  readonly text: string
}

export interface SearchPage {
  /** By rank; matches come before weaker ones. */
  readonly hits: readonly SearchHit[]
  /** How many hits of this page are matches; null where the query has no divider. */
  readonly matches: number | null
  /** Where a first page has no match: how many there are among the first `looksAt` hits; null elsewhere. */
  readonly matchesBelow: number | null
  /** Weaker hits of this page that were left out, as it was asked for. */
  readonly leftOut: number
  /** What the next page is asked for with; null where there is none. */
  readonly cursor: string | null
  /** Pictures with different bytes that the index has. */
  readonly pictures: number
  /** Those that were compared: without what filters leave out, and without pictures that hits are to be like. */
  readonly searched: number
  /** The same number where there are filters; null without. */
  readonly filtered: number | null
  /** By step. */
  readonly elapsedMs: Readonly<Record<string, number>>
  /** What a person should know about this result, a line each. */
  readonly notes: readonly string[]
  /** Where it was asked for. */
  readonly explanation?: Explanation
}

/** z depends on the picture too, so that matches may lie after weaker hits: so many hits are looked at before none is said to match. */
export const looksAt = 1000

/** Where the divider stands: the place of the first weak hit. */
export function dividerPlace(hits: readonly Pick<SearchHit, "verdict">[]): number {
  const place = hits.findIndex(({ verdict }) => verdict === "weak")
  return place < 0 ? hits.length : place
}
