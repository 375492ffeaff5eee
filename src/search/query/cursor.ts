/** What a page is followed by: where it ended, of which query, and in which state of the index. */
import { createHash } from "node:crypto"
import { UserError } from "../../core/errors.ts"
import { jsonOrNull } from "../../core/json.ts"
import type { WordWeight } from "./rows/words.ts"
import { type SearchRequest, type SearchTerm, searchDefaults } from "./search-request.ts"

export interface Cursor {
  /** That of another index may have the same number. */
  readonly generation: { readonly id: number; readonly created: string }
  /** Rows, and files, that the first page looked at: later ones are on no page. */
  readonly count: number
  readonly lastFile: number
  readonly digest: string
  /** The last hit's, in the order by score. */
  readonly score: number
  readonly position: number
  /** Hits up to it. */
  readonly rank: number
  /** As the first page had them: they depend on how many files there are. */
  readonly words: readonly WordWeight[]
  /** What all of them add to a cosine. */
  readonly wordWeight: number
}

const version = 3

export function cursorText(cursor: Cursor): string {
  const { generation, count, lastFile, digest, score, position, rank, words, wordWeight } = cursor
  const { id, created } = generation
  const pairs = words.map(Object.values)
  const parts = [version, id, created, count, lastFile, digest, score, position, rank, pairs, wordWeight]
  return Buffer.from(JSON.stringify(parts)).toString("base64url")
}

/** Throws UserError where the text is not a cursor, or one of another query. */
export function parseCursor(text: string, digest: string): Cursor {
  const value = jsonOrNull(Buffer.from(text, "base64url").toString("utf8"))
  if (!isCursor(value)) throw new UserError("the cursor is not one that a page of results ended with", again)
  const [, id, created, count, lastFile, own, score, position, rank, words, wordWeight] = value
  if (own !== digest) throw new UserError("the cursor is of another query or other filters", again)
  const weights = words.map(([word, weight]) => ({ word, weight }))
  return {
    generation: { id, created },
    count,
    lastFile,
    digest: own,
    score,
    position,
    rank,
    words: weights,
    wordWeight,
  }
}

/** Throws UserError where the index's rows are not those that the cursor's first page was of. */
export function requireSameRows({ generation, count }: Cursor, now: Pick<Cursor, "generation" | "count">): void {
  const { id, created } = now.generation
  if (generation.id === id && generation.created === created && count <= now.count) return
  throw new UserError("the index was migrated or compacted since the page before", again)
}

const again = "ask for the first page again, without a cursor"

type Parts = [number, number, string, number, number, string, number, number, number, [string, number][], number]

function isCursor(value: unknown): value is Parts {
  if (!Array.isArray(value) || value.length !== 11 || value[0] !== version) return false
  const [, id, created, count, lastFile, digest, score, position, rank, words, wordWeight] = value
  if (typeof created !== "string" || typeof digest !== "string" || ![score, wordWeight].every(Number.isFinite))
    return false
  const isCount = (number: unknown) => Number.isSafeInteger(number) && (number as number) >= 0
  const isWord = (pair: unknown) =>
    Array.isArray(pair) && pair.length === 2 && typeof pair[0] === "string" && Number.isFinite(pair[1])
  return [id, count, lastFile, position, rank].every(isCount) && Array.isArray(words) && words.every(isWord)
}

/** Tells queries apart: what decides which hits there are, and their order. */
export function requestDigest({ terms, filters = {}, words = searchDefaults.words }: SearchRequest): string {
  const given = Object.entries(filters).filter(([, value]) => value !== undefined)
  const parts = [terms.map(withHash), given.sort(([a], [b]) => (a < b ? -1 : 1)), words]
  return createHash("sha256").update(JSON.stringify(parts)).digest("base64url").slice(0, 16)
}

/** Bytes by their hash. */
function withHash(term: SearchTerm): object {
  return "bytes" in term ? { ...term, bytes: createHash("sha256").update(term.bytes).digest("hex") } : term
}
