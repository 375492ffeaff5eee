/** What a search is asked. */
import type { Filters } from "./filters.ts"
import type { QueryTerm } from "./parse/parse-query.ts"

export type SearchTerm = QueryTerm | PictureBytes

/** A picture that is in memory. "like": it is left out of the hits itself. */
export interface PictureBytes {
  readonly kind: "bytes" | "like-bytes"
  readonly weight: number
  readonly bytes: Uint8Array
}

export interface SearchRequest extends SimilarRequest {
  readonly terms: readonly SearchTerm[]
}

export interface SimilarRequest {
  readonly filters?: Filters | undefined
  /** Hits of a page. */
  readonly limit?: number | undefined
  /** From the page before, with the same query and filters. */
  readonly cursor?: string | null | undefined
  /** What all words of the query in a file's path or caption add to its cosine; 0: they are not looked for. */
  readonly words?: number | undefined
  /** Leaves out weaker hits, and says how many. */
  readonly onlyMatches?: boolean | undefined
  /** Says of each hit what gave its score. */
  readonly explain?: boolean | undefined
  /** How far above chance a match is (`CalibrationOptions`). */
  readonly strictness?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * The weight of words is about four standard deviations of a text's cosines (0.025): all words lift a picture to where matches
 * begin, half of them do not.
 */
export const searchDefaults = { limit: 20, words: 0.1 } as const

export const mostLimit = 10_000

/** Milliseconds by step. */
export class Steps {
  readonly elapsed: Record<string, number> = {}
  private last = performance.now()

  step(name: string): void {
    const now = performance.now()
    this.elapsed[name] = Number(((this.elapsed[name] ?? 0) + now - this.last).toFixed(2))
    this.last = now
  }
}
