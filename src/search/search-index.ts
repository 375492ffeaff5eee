/**
 * An index, open for searching: for one query, or for days in a server. It follows an index that grows, is migrated or compacted
 * meanwhile: each query is answered by one generation, and asked again where another one took its place before it ended.
 */
import { createHash } from "node:crypto"
import { statSync } from "node:fs"
import { join, resolve } from "node:path"
import { UserError } from "../core/errors.ts"
import { combine, type QueryKind, type WeightedVector } from "./query/combine.ts"
import { type Cursor, cursorText, digestOf, parseCursor, requireSameRows } from "./query/cursor.ts"
import { describeIndex, type IndexDescription } from "./query/describe.ts"
import type { DuplicateOptions, Duplicates } from "./query/duplicates.ts"
import type { Filters } from "./query/filters.ts"
import { rankRows } from "./query/find-hits.ts"
import { KeptMasks } from "./query/kept-masks.ts"
import { lookUpRows, rowOfFile, rowOfHash } from "./query/look-up.ts"
import { isFiltering, type Mask } from "./query/mask.ts"
import { OpenGeneration } from "./query/open-generation.ts"
import { type Answer, pageOf } from "./query/page.ts"
import type { QueryTerm } from "./query/parse-query.ts"
import type { QueryModelOptions } from "./query/query-model.ts"
import type { SearchPage } from "./query/search-page.ts"
import { findWords, noWords, type WordHits, wordHits, wordsOf } from "./query/words.ts"
import { databaseFile, type Generation, IndexStore } from "./store/index-store.ts"

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
  /** Of the page before, with the same query and filters. */
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

export type SearchOptions = QueryModelOptions

/** What one transaction saw. */
interface State {
  readonly generation: Generation
  readonly count: number
  readonly lastFile: number
}

interface Query {
  readonly vector: Float32Array
  readonly kind: QueryKind
  readonly terms: readonly { readonly term: SearchTerm; readonly vector: Float32Array }[]
  /** Rows that are left out: pictures that hits are to be like. */
  readonly without: readonly number[]
}

/** An index that changes generations more often than queries end is a fault. */
const mostTries = 5

export class SearchIndex implements AsyncDisposable {
  private readonly masks = new KeptMasks()
  private opened: { readonly id: string; readonly generation: Promise<OpenGeneration> } | null = null
  private readonly ending: Promise<void>[] = []
  private place: string

  private constructor(
    readonly folder: string,
    private store: IndexStore,
    private readonly options: SearchOptions,
  ) {
    this.place = placeOf(folder)
  }

  /**
   * Opens no model yet: `warm` does, or the first query that needs it.
   *
   * @throws UserError where there is no index, it is damaged or of a newer version, or `model` is not the index's
   */
  static async open(folder: string, options: SearchOptions = {}): Promise<SearchIndex> {
    const index = new SearchIndex(resolve(folder), IndexStore.open(folder), options)
    try {
      if (options.model !== undefined) await (await index.open(index.store.active())).model.requireChosen()
      return index
    } catch (error) {
      await index[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Opens the text tower, so that no query waits for it. */
  async warm(): Promise<void> {
    await (await this.open(this.current().active())).model.warm()
  }

  /** Throws UserError for a query that cannot be asked, a picture that cannot be read, another model, or a cursor of another query. */
  async search(request: SearchRequest): Promise<SearchPage> {
    requireRequest(request)
    for (let tries = 0; tries < mostTries; tries++) {
      const page = await this.attempt(request)
      if (page) return page
    }
    throw new UserError(`the index in ${this.folder} is changed all the time`, "search when its migration has ended")
  }

  /** What is like a picture, which is left out itself: an absolute path of the index, another file, or a file's bytes. */
  similar(picture: string | Uint8Array, request: SimilarRequest = {}): Promise<SearchPage> {
    const term: SearchTerm =
      typeof picture === "string"
        ? { kind: "like", weight: 1, path: resolve(picture) }
        : { kind: "like-bytes", weight: 1, bytes: picture }
    return this.search({ ...request, terms: [term] })
  }

  /** Groups of pictures that are the same, or nearly. */
  async duplicates(options: DuplicateOptions = {}): Promise<Duplicates> {
    const { findDuplicates } = await import("./query/duplicates.ts")
    for (let tries = 0; tries < mostTries; tries++) {
      const store = this.current()
      const { generation, count } = this.state(store)
      const open = await this.open(generation)
      const found = await open.using(() => {
        const mask = this.maskOf(store, options.filters ?? {}, count, [])
        return findDuplicates(store, open, { ...options, count, mask })
      })
      if (found) return found
    }
    throw new UserError(`the index in ${this.folder} is changed all the time`, "look when its migration has ended")
  }

  describe(): IndexDescription {
    return describeIndex(this.current())
  }

  /** Whether an absolute path is that of a file of the index. */
  hasFile(path: string): boolean {
    return rowOfFile(this.current(), resolve(path)) !== null
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const open = await this.opened?.generation.catch(() => null)
    this.opened = null
    await open?.end()
    await Promise.all(this.ending)
    this.store[Symbol.dispose]()
  }

  /** Null where another generation answers now. */
  private async attempt(request: SearchRequest): Promise<SearchPage | null> {
    const { terms, cursor: given, words: wordWeight = searchDefaults.words, filters = {} } = request
    const clock = new Steps()
    const digest = digestOf(digestible(terms), sorted(filters), wordWeight)
    const cursor = given ? parseCursor(given, digest) : null
    const store = this.current()
    const state = this.state(store)
    if (cursor) requireSameRows(cursor, { generation: state.generation.id, count: state.count })
    const open = await this.open(state.generation)
    clock.step("open")
    return open.using(async () => {
      if (state.count === 0) return emptyPage(clock.elapsed)
      const query = await this.encode(store, open, terms)
      request.signal?.throwIfAborted()
      clock.step("encode")
      const found = store.reading(() => {
        const now = this.state(store)
        return now.generation.id === state.generation.id
          ? { ...this.narrow(store, request, query, now, cursor), background: open.background(store) }
          : null
      })
      if (!found) return null
      clock.step("filter")
      const { limit = searchDefaults.limit } = request
      const ranked = await rankRows(open.scanner, {
        ...{ query: query.vector, count: found.count, k: limit + 1, mask: found.mask, words: found.words, wordWeight },
        ...{ after: cursor ?? undefined, threads: this.options.threads },
      })
      clock.step("scan")
      const rows = ranked.slice(0, limit)
      const contents = store.reading(() =>
        this.isStill(store, state)
          ? lookUpRows(
              store,
              rows.map(({ position }) => position),
              filters,
            )
          : null,
      )
      if (!contents) return null
      clock.step("look up")
      const last = rows.at(-1)
      const rank = (cursor?.rank ?? 0) + rows.length
      const { count, lastFile } = found
      const next = ranked.length > limit &&
        last && {
          ...{ generation: state.generation.id, count, lastFile, digest, rank, words: found.words.weights },
          ...{ score: last.score, position: last.position },
        }
      const answer: Answer = {
        ...{ rows, contents, query, count, wordWeight, mask: found.mask, words: found.words, clock, request },
        ...{ background: found.background, scanner: open.scanner, isFiltered: isFiltering(filters) },
        ...{ firstRank: (cursor?.rank ?? 0) + 1, cursor: next ? cursorText(next) : null },
      }
      return pageOf(answer)
    })
  }

  /** Within a transaction: which rows may be hits, and what words say. */
  private narrow(store: IndexStore, request: SearchRequest, query: Query, now: State, cursor: Cursor | null) {
    const { filters = {}, words: weight = searchDefaults.words, terms } = request
    const { count, lastFile } = cursor ?? now
    const mask = this.maskOf(store, filters, count, query.without)
    return { count, lastFile, mask, words: weight > 0 ? wordsFor(store, terms, lastFile, cursor) : noWords }
  }

  private maskOf(store: IndexStore, filters: Filters, count: number, without: readonly number[]): Mask | null {
    const version = Number(Object.values(store.row("PRAGMA data_version")!)[0])
    return this.masks.mask(store, filters, count, version, without)
  }

  private async encode(store: IndexStore, open: OpenGeneration, terms: readonly SearchTerm[]): Promise<Query> {
    const texts = terms.flatMap((term) => (term.kind === "text" ? [term.text] : []))
    const ofTexts = texts.length > 0 ? await open.model.encodeTexts(texts) : []
    const without: number[] = []
    const vectors: Query["terms"][number][] = []
    let text = 0
    for (const term of terms) {
      if (term.kind === "text") vectors.push({ term, vector: ofTexts[text++]! })
      else {
        const { row, vector } = await pictureVector(store, open, term)
        if (row !== null && (term.kind === "like" || term.kind === "like-bytes")) without.push(row)
        vectors.push({ term, vector })
      }
    }
    const weighted = vectors.map(
      ({ term, vector }): WeightedVector => ({
        vector,
        weight: term.weight,
        of: term.kind === "text" ? "text" : "picture",
      }),
    )
    const { vector, kind } = combine(weighted)
    return { vector, kind: terms.length === 1 ? kind : "mixed", terms: vectors, without }
  }

  /** The database, opened again where a new one lies in its place. */
  private current(): IndexStore {
    const place = placeOf(this.folder)
    if (place === this.place) return this.store
    const store = IndexStore.open(this.folder)
    this.store[Symbol.dispose]()
    this.store = store
    this.place = place
    this.masks.clear()
    return store
  }

  private state(store: IndexStore): State {
    const lastFile = Number(store.row("SELECT max(id) AS id FROM files")?.id ?? 0)
    return { generation: store.active(), count: store.count, lastFile }
  }

  private isStill(store: IndexStore, { generation }: State): boolean {
    return store.active().id === generation.id && store === this.store
  }

  /** The generation's vectors and model; those of another one end with the queries that use them. */
  private open(generation: Generation): Promise<OpenGeneration> {
    const id = `${this.place} ${generation.id} ${generation.created}`
    if (this.opened?.id === id) return this.opened.generation
    const before = this.opened?.generation
    if (before) {
      this.masks.clear()
      this.ending.push(before.then((open) => open.end()).catch(() => {}))
    }
    const opening = OpenGeneration.open(this.store, generation, this.options)
    this.opened = { id, generation: opening }
    opening.catch(() => {
      if (this.opened?.generation === opening) this.opened = null
    })
    return opening
  }
}

function wordsFor(store: IndexStore, terms: readonly SearchTerm[], lastFile: number, cursor: Cursor | null): WordHits {
  if (cursor) return cursor.words.length === 0 ? noWords : wordHits(store, cursor.words, lastFile)
  const words = wordsOf(terms)
  if (words.length === 0) return noWords
  // Nearly: files that went leave gaps. Only logarithms of it are used.
  return findWords(store, words, lastFile, lastFile)
}

async function pictureVector(store: IndexStore, open: OpenGeneration, term: Exclude<SearchTerm, { kind: "text" }>) {
  const known = "path" in term && term.kind === "like" ? rowOfFile(store, term.path) : null
  const stored = known === null ? null : await storedVector(open, known)
  if (stored) return { row: known, vector: stored }
  const bytes = "bytes" in term ? term.bytes : await pictureBytes(term.path, term.kind)
  const row = known ?? rowOfHash(store, createHash("sha256").update(bytes).digest())
  const same = row === null || row === known ? null : await storedVector(open, row)
  const name = "path" in term ? term.path : "the picture"
  return { row, vector: same ?? (await open.model.encodePicture(bytes, name)) }
}

async function pictureBytes(path: string, kind: string): Promise<Uint8Array> {
  const { readBytes } = await import("../host/files/files.ts")
  try {
    return await readBytes(path)
  } catch (error) {
    if (kind !== "like" || !(error instanceof UserError)) throw error
    throw new UserError(
      `${path} is not in the index, and cannot be read`,
      "name a picture by its path in the results",
      {
        cause: error,
      },
    )
  }
}

/** Of unit length, which rounding to float16 changed a little; null where the row has none. */
async function storedVector(open: OpenGeneration, row: number): Promise<Float32Array | null> {
  const vector = await open.scanner.read(Uint32Array.of(row))
  if (Number.isNaN(vector[0])) return null
  const length = Math.hypot(...vector)
  return vector.map((value) => value / length)
}

function requireRequest({ terms, limit = searchDefaults.limit, words = searchDefaults.words }: SearchRequest): void {
  if (!Array.isArray(terms) || terms.length === 0)
    throw new UserError("the query is empty", 'terms: [{ kind: "text", weight: 1, text: "a red car" }]')
  if (terms.every(({ weight }) => !(weight > 0)))
    throw new UserError("the query only says what is not looked for", "add a term with a positive weight")
  if (!(Number.isInteger(limit) && limit >= 1 && limit <= mostLimit))
    throw new UserError(
      `limit: ${limit} is not a whole number from 1 to ${mostLimit}`,
      "ask for more with the page's cursor",
    )
  if (!(words >= 0 && words <= 1)) throw new UserError(`words: ${words} is not from 0 to 1`, "0 looks for none")
}

/** Bytes by their hash. */
function digestible(terms: readonly SearchTerm[]): unknown[] {
  return terms.map((term) =>
    "bytes" in term ? { ...term, bytes: createHash("sha256").update(term.bytes).digest("hex") } : term,
  )
}

function sorted(filters: Filters): unknown[] {
  return Object.entries(filters)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
}

function emptyPage(elapsedMs: Readonly<Record<string, number>>): SearchPage {
  const notes = ["the index has no pictures yet"]
  return { hits: [], matches: 0, cursor: null, searched: 0, filtered: null, elapsedMs, notes }
}

/** What is another one for another file in the same place. */
function placeOf(folder: string): string {
  const found = statSync(join(folder, databaseFile), { throwIfNoEntry: false })
  return found ? `${found.dev} ${found.ino}` : "gone"
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
