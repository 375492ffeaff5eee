/** Filters without a query: the pictures that pass them, the newest first, those without a date last. */
import { type Cursor, cursorText, requestDigest } from "./cursor.ts"
import type { FollowedIndex, IndexState } from "./followed-index.ts"
import { type FoundContent, lookUpRows, newestRows } from "./rows/look-up.ts"
import type { SearchHit, SearchPage } from "./search-page.ts"
import { type SearchRequest, Steps, searchDefaults } from "./search-request.ts"

/** Null where another generation answers before it ends. */
export function listPictures(
  index: FollowedIndex,
  state: IndexState,
  request: SearchRequest,
  cursor: Cursor | null,
): SearchPage | null {
  const { limit = searchDefaults.limit, filters = {} } = request
  const { store, open } = state
  const clock = new Steps()
  const found = index.readStill(state, (now) => {
    const { count, lastFile } = cursor ?? now
    const rows = newestRows(store, filters, { count, k: limit + 1, after: cursor?.position ?? null })
    const filtered = open.masks.mask(store, filters, count)?.left ?? count
    const contents = lookUpRows(store, rows, filters)
    return { count, lastFile, rows, contents, filtered, pictures: open.masks.present(store, count) }
  })
  if (!found) return null
  const { count, lastFile, contents, filtered, pictures } = found
  const rows = found.rows.slice(0, limit)
  const before = cursor?.rank ?? 0
  const next = found.rows.length > limit && {
    ...{ generation: open.generation, digest: requestDigest(request), rank: before + rows.length, count, lastFile },
    ...{ words: [], wordWeight: 0, score: 0, position: rows.at(-1)! },
  }
  clock.step("filter")
  return {
    hits: rows
      .flatMap((row) => (contents.has(row) ? [contents.get(row)!] : []))
      .map((c, i) => hitOf(c, before + i + 1)),
    ...{ matches: null, matchesBelow: null, leftOut: 0, cursor: next ? cursorText(next) : null },
    ...{ pictures, searched: filtered, filtered, elapsedMs: clock.elapsed, notes: [] },
  }
}

function hitOf({ bytes: _, sharpness: __, ...content }: FoundContent, rank: number): SearchHit {
  return { rank, score: Number.NaN, cosine: Number.NaN, z: null, verdict: null, words: null, ...content }
}
