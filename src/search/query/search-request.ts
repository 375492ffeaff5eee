/** What a search is asked. */
import { isAbsolute } from "node:path"
import { kindOf, requireSignal } from "../../core/arguments.ts"
import { UserError } from "../../core/errors.ts"
import { isObject } from "../../core/json.ts"
import { type Filters, requireFilters } from "./filters.ts"
import type { QueryTerm } from "./parse/parse-query.ts"

export type SearchTerm = QueryTerm | PictureBytes

/** A picture that is in memory. "like": it is left out of the hits itself. */
export interface PictureBytes {
  readonly kind: "bytes" | "like-bytes"
  readonly weight: number
  readonly bytes: Uint8Array
}

export interface SearchRequest extends SimilarRequest {
  /** None, where there are filters: the pictures that pass them, the newest first. */
  readonly terms: readonly SearchTerm[]
}

export interface SimilarRequest {
  readonly filters?: Filters | undefined
  /** Hits of a page. */
  readonly limit?: number | undefined
  /** From the page before, with the same query and filters. */
  readonly cursor?: string | null | undefined
  /**
   * What all words of the query in a file's path or caption add to its cosine, in standard deviations of this query's cosines
   * over pictures of the index: 0 to 20; 0: they are not looked for.
   */
  readonly words?: number | undefined
  /** Leaves out weaker hits, and says how many. */
  readonly onlyMatches?: boolean | undefined
  /** Says of each hit what gave its score. */
  readonly explain?: boolean | undefined
  /** How far above chance a match is (`CalibrationOptions`). */
  readonly strictness?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** With all words a picture comes before nearly all that have none of them, whatever the model: four deviations are 1 in 30,000. */
export const searchDefaults = { limit: 20, words: 4 } as const

/** The deviation of a text's cosines where an index has too few pictures to know it: about that of published models. */
export const usualDeviation = 0.025

const mostWords = 20

export const mostLimit = 10_000

/** Throws UserError where nothing is looked for, or a number is out of its range. */
export function requireRequest(request: SearchRequest): void {
  if (!isObject(request)) throw new UserError(`a request must be an object, not ${kindOf(request)}`, exampleTerms)
  const { terms, limit = searchDefaults.limit, words = searchDefaults.words, strictness = 0 } = request
  const { filters = {}, cursor = null, signal } = request
  requireFilters(filters)
  requireSignal(signal)
  if (cursor !== null && typeof cursor !== "string")
    throw new UserError(`cursor must be a text, not ${kindOf(cursor)}`, "give the cursor of the page before")
  const isList = Array.isArray(terms) && terms.length === 0 && Object.values(filters).some((each) => each !== undefined)
  if (!Array.isArray(terms) || (terms.length === 0 && !isList)) throw new UserError("the query is empty", exampleTerms)
  terms.forEach(requireTerm)
  if (!isList && terms.every(({ weight }) => weight < 0))
    throw new UserError("the query only says what is not looked for", "add a term with a positive weight")
  if (!(Number.isInteger(limit) && limit >= 1 && limit <= mostLimit))
    throw new UserError(
      `limit: ${limit} is not a whole number from 1 to ${mostLimit}`,
      "ask for more with the page's cursor",
    )
  if (!(words >= 0 && words <= mostWords))
    throw new UserError(`words: ${words} is not from 0 to ${mostWords}`, "0 looks for none, 4 is the default")
  if (!Number.isFinite(strictness))
    throw new UserError(
      `strictness: ${strictness} is not a finite number`,
      "0 is the median of chance, 1.5 the default for texts",
    )
}

const exampleTerms = 'terms: [{ kind: "text", weight: 1, text: "a red car" }]'

function requireTerm(term: unknown, place: number): void {
  const name = `terms: number ${place + 1}`
  if (!isObject(term)) throw new UserError(`${name} is ${kindOf(term)}`, exampleTerms)
  const { kind, weight, text, path, bytes } = term
  if (!Number.isFinite(weight) || weight === 0)
    throw new UserError(
      `${name} has the weight ${weight}, not a finite number other than 0`,
      "1 as a rule, -1 leads away",
    )
  switch (kind) {
    case "text":
      if (typeof text === "string" && text.trim() !== "") return
      throw new UserError(`${name} has no text`, exampleTerms)
    case "picture":
    case "like":
      if (typeof path === "string" && isAbsolute(path)) return
      throw new UserError(`${name} has no absolute path`, 'path: resolve("cat.jpg")')
    case "bytes":
    case "like-bytes":
      if (bytes instanceof Uint8Array) return
      throw new UserError(`${name} has no bytes`, "bytes: await readFile(path)")
    default:
      throw new UserError(`${name} is of the kind ${JSON.stringify(kind)}`, "text, picture, like, bytes or like-bytes")
  }
}

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
