/** One query on one state of an index: encoded, narrowed by its filters, ranked, looked up, and made a page. */
import { calibrationOf } from "../calibrate/calibration.ts"
import { type Cursor, cursorText, parseCursor, requestDigest, requireSameRows } from "./cursor.ts"
import { encodeQuery } from "./encode-query.ts"
import type { FollowedIndex, IndexState } from "./followed-index.ts"
import { pageOf } from "./page.ts"
import { rankRows } from "./rows/find-hits.ts"
import { lookUpRows } from "./rows/look-up.ts"
import { findWords, noWords, type WordHits, wordHits, wordsOf } from "./rows/words.ts"
import type { SearchPage } from "./search-page.ts"
import { type SearchRequest, Steps, searchDefaults, usualDeviation } from "./search-request.ts"

/** Null where another generation answers before it ends. Throws UserError for a cursor of another query or state. */
export async function answerQuery(
  index: FollowedIndex,
  state: IndexState,
  request: SearchRequest,
  threads: number | undefined,
): Promise<SearchPage | null> {
  const { terms, limit = searchDefaults.limit, words = searchDefaults.words, filters = {} } = request
  const { open } = state
  if (state.count === 0) return emptyPage
  const clock = new Steps()
  const cursor = cursorOf(request, state)
  const query = await encodeQuery(state, terms)
  request.signal?.throwIfAborted()
  clock.step("encode")
  const found = index.readStill(state, (now) => narrowed({ ...state, ...now }, request, cursor, query.without))
  if (!found) return null
  clock.step("filter")
  const calibration = calibrationOf(query.vector, query.kind, found.background, found.searched, request)
  const wordWeight = cursor?.wordWeight ?? words * (calibration.deviation ?? usualDeviation)
  clock.step("calibrate")
  const scanner = await open.scanner()
  const ranked = await rankRows(scanner, {
    ...{ query: query.vector, count: found.count, k: limit + 1, mask: found.mask, words: found.words, wordWeight },
    ...{ after: cursor ?? undefined, threads },
  })
  clock.step("scan")
  const rows = ranked.slice(0, limit)
  const positions = rows.map(({ position }) => position)
  const contents = index.readStill(state, () => lookUpRows(state.store, positions, filters))
  if (!contents) return null
  clock.step("look up")
  const before = cursor?.rank ?? 0
  const last = ranked.length > limit ? rows.at(-1)! : null
  const next = last && {
    ...{ generation: open.generation, digest: requestDigest(request), rank: before + rows.length },
    ...{ count: found.count, lastFile: found.lastFile, words: found.words.weights, wordWeight },
    ...{ score: last.score, position: last.position },
  }
  return pageOf({
    ...{ rows, contents, query, ...found, calibration, wordWeight, clock, request, scanner, firstRank: before + 1 },
    ...{ cursor: next && cursorText(next), mapped: open.generation.settings.mapped ?? null },
  })
}

const emptyPage: SearchPage = {
  ...{ hits: [], matches: 0, cursor: null, pictures: 0, searched: 0, filtered: null, elapsedMs: {}, notes: [] },
}

function cursorOf(request: SearchRequest, { open, count }: IndexState): Cursor | null {
  if (!request.cursor) return null
  const cursor = parseCursor(request.cursor, requestDigest(request))
  requireSameRows(cursor, { generation: open.generation, count })
  return cursor
}

/** Which rows may be hits, what words say of them, and what cosines are compared with. Within a transaction. */
function narrowed(state: IndexState, request: SearchRequest, cursor: Cursor | null, without: readonly number[]) {
  const { store, open } = state
  const { filters = {}, words: weight = searchDefaults.words } = request
  // A further page has what the first one saw.
  const { count, lastFile } = cursor ?? state
  const mask = open.masks.mask(store, filters, count, without)
  const words = weight > 0 ? wordsFor({ ...state, lastFile }, request, cursor) : noWords
  return {
    ...{ count, lastFile, mask, words, searched: mask?.left ?? count },
    ...{ pictures: open.masks.present(store, count), background: open.background() },
  }
}

function wordsFor({ store, open, lastFile }: IndexState, { terms }: SearchRequest, cursor: Cursor | null): WordHits {
  const state = { store, lastFile, kept: open.words }
  if (cursor) return cursor.words.length === 0 ? noWords : wordHits(state, cursor.words)
  const words = wordsOf(terms)
  // Nearly: files that went leave gaps. Only logarithms of their number are used.
  return words.length === 0 ? noWords : findWords(state, words, lastFile)
}
