/** One query on one state of an index: encoded, narrowed by its filters, ranked, looked up, and made a page. */
import { type Calibration, calibrationOf } from "../calibrate/calibration.ts"
import type { Scanner } from "../scan/scanner.ts"
import { type Cursor, cursorText, parseCursor, requestDigest, requireSameRows } from "./cursor.ts"
import { type EncodedQuery, encodeQuery } from "./encode-query.ts"
import type { FollowedIndex, IndexState } from "./followed-index.ts"
import { listPictures } from "./list-pictures.ts"
import { pageOf } from "./page.ts"
import { dataVersion } from "./rows/data-version.ts"
import { type RankedRow, rankRows } from "./rows/find-hits.ts"
import { lookUpRows } from "./rows/look-up.ts"
import { findWords, noWords, type WordHits, wordHits, wordsOf } from "./rows/words.ts"
import { looksAt, type SearchPage } from "./search-page.ts"
import { type SearchRequest, Steps, searchDefaults, usualDeviation } from "./search-request.ts"

/** A query, and where it is asked. */
interface Asked {
  readonly index: FollowedIndex
  readonly state: IndexState
  readonly request: SearchRequest
  readonly limit: number
  readonly cursor: Cursor | null
  readonly threads: number | undefined
  readonly clock: Steps
}

/** What is compared with what. */
interface Question extends Asked {
  readonly query: EncodedQuery
  readonly found: ReturnType<typeof narrowed>
  readonly calibration: Calibration
  readonly wordWeight: number
}

interface Ranking {
  readonly scanner: Scanner
  /** Best first: one more than the page has, where there are more, or all that may be looked at. */
  readonly rows: readonly RankedRow[]
  /** Whether matches below the page count, where it has none. */
  readonly looksFurther: boolean
  /** Whether the rows hold all that are looked at then. */
  readonly isWhole: boolean
}

/** Null where another generation answers before it ends, or pictures of the page are taken out. Throws UserError for a cursor of another query or state. */
export async function answerQuery(
  index: FollowedIndex,
  state: IndexState,
  request: SearchRequest,
  threads: number | undefined,
): Promise<SearchPage | null> {
  if (state.count === 0) return emptyPage
  const clock = new Steps()
  const cursor = cursorOf(request, state)
  if (request.terms.length === 0) return listPictures(index, state, request, cursor)
  const { limit = searchDefaults.limit } = request
  const question = await questionOf({ index, state, request, limit, cursor, threads, clock })
  if (!question) return null
  const ranking = await rankingOf(question)
  const page = await pageFrom(question, ranking)
  if (!page || cursor || page.matches !== 0) return page
  return { ...page, matchesBelow: await countMatchesBelow(question, ranking) }
}

/** Encoded, narrowed and calibrated; null where another generation answers now. */
async function questionOf(asked: Asked): Promise<Question | null> {
  const { index, state, request, cursor, clock } = asked
  const { terms, words = searchDefaults.words } = request
  const query = await encodeQuery(state, terms)
  request.signal?.throwIfAborted()
  clock.step("encode")
  const found = index.readStill(state, (now) => narrowed({ ...state, ...now }, request, cursor, query.without))
  if (!found) return null
  clock.step("filter")
  const calibration = calibrationOf(query.vector, query.kind, found.background, found.searched, request)
  const wordWeight = cursor?.wordWeight ?? words * (calibration.deviation ?? usualDeviation)
  clock.step("calibrate")
  return { ...asked, query, found, calibration, wordWeight }
}

async function rankingOf(question: Question): Promise<Ranking> {
  const { state, limit, cursor, found, calibration, clock } = question
  const scanner = await state.open.scanner()
  const looksFurther = !cursor && calibration.hasDivider && limit < looksAt
  const isWhole = looksFurther && isSinglePass(scanner, found.count)
  const rows = await bestRows(question, scanner, isWhole ? looksAt : limit + 1)
  clock.step("scan")
  return { scanner, rows, looksFurther, isWhole }
}

function bestRows(question: Question, scanner: Scanner, k: number): Promise<RankedRow[]> {
  const { query, found, wordWeight, cursor, threads } = question
  const { count, mask, words } = found
  const after = cursor ?? undefined
  return rankRows(scanner, { query: query.vector, count, mask, words, wordWeight, threads, k, after })
}

/** Null where another generation answers now, or pictures of the page were taken out. */
async function pageFrom(question: Question, ranking: Ranking): Promise<SearchPage | null> {
  const { index, state, request, limit, cursor, found, clock } = question
  const rows = ranking.rows.slice(0, limit)
  const positions = rows.map(({ position }) => position)
  const contents = index.readStill(state, () => lookUpRows(state.store, positions, request.filters ?? {}))
  if (!contents || isTorn(state, found.version, positions, contents)) return null
  clock.step("look up")
  const { query, calibration, wordWeight } = question
  return pageOf({
    ...{ rows, contents, query, ...found, calibration, wordWeight, clock, request, scanner: ranking.scanner },
    ...{ firstRank: (cursor?.rank ?? 0) + 1, cursor: ranking.rows.length > limit ? nextCursor(question, rows) : null },
    ...{ generation: state.open.generation, folder: state.store.folder },
  })
}

/** @param rows of the page */
function nextCursor({ state, request, cursor, found, wordWeight }: Question, rows: readonly RankedRow[]): string {
  const { score, position } = rows.at(-1)!
  return cursorText({
    ...{ generation: state.open.generation, digest: requestDigest(request), rank: (cursor?.rank ?? 0) + rows.length },
    ...{ count: found.count, lastFile: found.lastFile, words: found.words.weights, wordWeight, score, position },
  })
}

/** Those after a first page that has none. */
async function countMatchesBelow(question: Question, ranking: Ranking): Promise<number> {
  const { limit, calibration, clock } = question
  const { scanner, rows, looksFurther, isWhole } = ranking
  const isCut = looksFurther && !isWhole && rows.length > limit
  const all = isCut ? await bestRows(question, scanner, looksAt) : rows
  const matches = looksFurther ? await matchesAmong(all.slice(limit), scanner, calibration) : 0
  clock.step("look further")
  return matches
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
