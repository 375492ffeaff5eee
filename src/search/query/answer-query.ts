/** One query on one state of an index: encoded, narrowed by its filters, ranked, looked up, and made a page. */
import { type Calibration, calibrationOf } from "../calibrate/calibration.ts"
import type { Scanner } from "../scan/scanner.ts"
import { type Cursor, cursorText, parseCursor, requestDigest, requireSameRows } from "./cursor.ts"
import { encodeQuery } from "./encode-query.ts"
import type { FollowedIndex, IndexState } from "./followed-index.ts"
import { listPictures } from "./list-pictures.ts"
import { pageOf } from "./page.ts"
import { dataVersion } from "./rows/data-version.ts"
import { type RankedRow, rankRows } from "./rows/find-hits.ts"
import { lookUpRows } from "./rows/look-up.ts"
import { findWords, noWords, type WordHits, wordHits, wordsOf } from "./rows/words.ts"
import { looksAt, type SearchPage } from "./search-page.ts"
import { type SearchRequest, Steps, searchDefaults, usualDeviation } from "./search-request.ts"

/** Null where another generation answers before it ends, or pictures of the page are taken out. Throws UserError for a cursor of another query or state. */
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
  if (terms.length === 0) return listPictures(index, state, request, cursor)
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
  const asked = {
    ...{ query: query.vector, count: found.count, mask: found.mask, words: found.words, wordWeight, threads },
  }
  const looksFurther = !cursor && calibration.hasDivider && limit < looksAt
  const atOnce = looksFurther && isSinglePass(scanner, found.count)
  const ranked = await rankRows(scanner, { ...asked, k: atOnce ? looksAt : limit + 1, after: cursor ?? undefined })
  clock.step("scan")
  const rows = ranked.slice(0, limit)
  const positions = rows.map(({ position }) => position)
  const contents = index.readStill(state, () => lookUpRows(state.store, positions, filters))
  if (!contents || isTorn(state, found.version, positions, contents)) return null
  clock.step("look up")
  const before = cursor?.rank ?? 0
  const last = ranked.length > limit ? rows.at(-1)! : null
  const next = last && {
    ...{ generation: open.generation, digest: requestDigest(request), rank: before + rows.length },
    ...{ count: found.count, lastFile: found.lastFile, words: found.words.weights, wordWeight },
    ...{ score: last.score, position: last.position },
  }
  const page = await pageOf({
    ...{ rows, contents, query, ...found, calibration, wordWeight, clock, request, scanner, firstRank: before + 1 },
    ...{ cursor: next && cursorText(next), generation: open.generation, folder: state.store.folder },
  })
  if (cursor || page.matches !== 0) return page
  const first =
    looksFurther && last && !atOnce ? await rankRows(scanner, { ...asked, k: looksAt, after: undefined }) : ranked
  const matchesBelow = looksFurther ? await matchesAmong(first.slice(limit), scanner, calibration) : 0
  clock.step("look further")
  return { ...page, matchesBelow }
}

/** Whether pictures were taken out between the scan and the look at their rows: the page would have fewer than there are. */
function isTorn(
  { store }: IndexState,
  version: number,
  positions: readonly number[],
  contents: ReadonlyMap<number, unknown>,
) {
  return contents.size < positions.length && dataVersion(store) !== version
}

/** Whether more hits cost no more: neither are candidates fetched for each, nor vectors. */
function isSinglePass(scanner: Scanner, count: number): boolean {
  return scanner.kind !== "lancedb" && !scanner.usesCodes(count)
}

async function matchesAmong(rows: readonly RankedRow[], scanner: Scanner, { zOf, verdict }: Calibration) {
  const vectors = await scanner.read(Uint32Array.from(rows, ({ position }) => position))
  const { dim } = scanner
  return rows.filter(({ score }, i) => verdict(zOf(score, vectors.subarray(i * dim, (i + 1) * dim))) === "match").length
}

const emptyPage: SearchPage = {
  ...{ hits: [], matches: 0, matchesBelow: 0, leftOut: 0, cursor: null },
  ...{ pictures: 0, searched: 0, filtered: null, elapsedMs: {}, notes: [] },
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
    ...{ count, lastFile, mask, words, searched: mask?.left ?? count, version: dataVersion(store) },
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
