/** What a search gives: a page of hits, the best first. A hit is a content, which has a path for each of its files. */

/** "weak": no better than what the background of this query reaches by chance; such hits come after all matches. */
export type Verdict = "match" | "weak"

/** How well the words of the query fit a hit's paths and caption. */
export interface WordScore {
  readonly score: number
  /** The words of the query that were found. */
  readonly matched: readonly string[]
}

export interface SearchHit {
  /** From 1 on, counted over all pages of a query. */
  readonly rank: number
  /** What hits are ordered by: the cosine, with the share of the words where they are searched. */
  readonly score: number
  /** Between the query's vector and the picture's, from -1 to 1. */
  readonly cosine: number
  /** Standard deviations by which the cosine is above this query's background; null where the index has none. */
  readonly z: number | null
  readonly verdict: Verdict
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
  /** The row of its vector. */
  readonly position: number
}

export interface SearchPage {
  /** By rank; matches come before weaker ones. */
  readonly hits: readonly SearchHit[]
  /** How many hits of this page are matches. */
  readonly matches: number
  /** What the next page is asked for with; null where there is none. */
  readonly cursor: string | null
  /** Contents that were compared. */
  readonly searched: number
  /** How many of them the filters left; null without filters. */
  readonly filtered: number | null
  /** By step. */
  readonly elapsedMs: Readonly<Record<string, number>>
  /** What a person should know about this result, a line each. */
  readonly notes: readonly string[]
}
