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
import { OpenGeneration } from "./query/open-generation.ts"
import { type Answer, joinPages, pageOf } from "./query/page.ts"
import type { QueryModelOptions } from "./query/query-model.ts"
import { rankRows } from "./query/rows/find-hits.ts"
import { KeptMasks } from "./query/rows/kept-masks.ts"
import { lookUpRows, rowOfFile, rowOfHash } from "./query/rows/look-up.ts"
import { isFiltering, type Mask } from "./query/rows/mask.ts"
import { findWords, KeptWords, noWords, type WordHits, wordHits, wordsOf } from "./query/rows/words.ts"
import type { SearchPage } from "./query/search-page.ts"
import {
  mostLimit,
  type SearchRequest,
  type SearchTerm,
  type SimilarRequest,
  Steps,
  searchDefaults,
} from "./query/search-request.ts"
import { databaseFile, type Generation, IndexStore } from "./store/index-store.ts"

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
  private readonly words = new KeptWords()
  private opened: { readonly id: string; readonly generation: OpenGeneration } | null = null
  private readonly ending = new Set<Promise<void>>()
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
      if (options.model !== undefined) await index.open(index.store.active()).model.requireChosen()
      return index
    } catch (error) {
      await index[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Opens the text tower, so that no query waits for it. */
  async warm(): Promise<void> {
    await this.open(this.current().active()).model.warm()
  }

  /** Throws UserError for a query that cannot be asked, a picture that cannot be read, another model, or a cursor of another query. */
  async search(request: SearchRequest): Promise<SearchPage> {
    requireRequest(request)
    for (let tries = 0; tries < mostTries; tries++) {
      const store = this.current()
      const state = this.state(store)
      const page = await this.whileActive(store, state, () => this.attempt(request, store, state))
      if (page) return page
    }
    throw new UserError(`the index in ${this.folder} is changed all the time`, "search when its migration has ended")
  }

  /** All pages from the request's on, as one: all matches come before all weaker hits. `limit` is how many are asked for at a time. */
  async searchAll(request: SearchRequest): Promise<SearchPage> {
    const pages = [await this.search(request)]
    for (let { cursor } = pages[0]!; cursor !== null; cursor = pages.at(-1)!.cursor)
      pages.push(await this.search({ ...request, cursor }))
    return joinPages(pages)
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
      const state = this.state(store)
      const { generation, count } = state
      const open = this.open(generation)
      const work = () => {
        const mask = this.maskOf(store, options.filters ?? {}, count, [])
        return findDuplicates(store, open, { ...options, count, mask })
      }
      const found = await this.whileActive(store, state, () => open.using(work))
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

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  /** Frees the model and closes the index as soon as queries have ended. */
  async dispose(): Promise<void> {
    const { opened } = this
    this.opened = null
    await opened?.generation.end()
    await Promise.all(this.ending)
    this.store[Symbol.dispose]()
  }

  /** What fails because its generation went, and its files with it, is asked again: null. */
  private async whileActive<T>(store: IndexStore, state: State, work: () => Promise<T | null>): Promise<T | null> {
    try {
      return await work()
    } catch (error) {
      if (this.isStill(store, state)) throw error
      return null
    }
  }

  /** Null where another generation answers now. */
  private async attempt(request: SearchRequest, store: IndexStore, state: State): Promise<SearchPage | null> {
    const { terms, cursor: given, words: wordWeight = searchDefaults.words, filters = {} } = request
    const clock = new Steps()
    const digest = digestOf(digestible(terms), sorted(filters), wordWeight)
    const cursor = given ? parseCursor(given, digest) : null
    if (cursor) requireSameRows(cursor, { generation: state.generation.id, count: state.count })
    if (state.count === 0) return emptyPage(clock.elapsed)
    const open = this.open(state.generation)
    clock.step("open")
    return open.using(async () => {
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
      const scanner = await open.scanner()
      const ranked = await rankRows(scanner, {
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
        ...{ background: found.background, scanner, isFiltered: isFiltering(filters) },
        ...{ firstRank: (cursor?.rank ?? 0) + 1, cursor: next ? cursorText(next) : null },
        mapped: state.generation.settings.mapped ?? null,
      }
      return pageOf(answer)
    })
  }

  /** Within a transaction: which rows may be hits, and what words say. */
  private narrow(store: IndexStore, request: SearchRequest, query: Query, now: State, cursor: Cursor | null) {
    const { filters = {}, words: weight = searchDefaults.words, terms } = request
    const { count, lastFile } = cursor ?? now
    const mask = this.maskOf(store, filters, count, query.without)
    return { count, lastFile, mask, words: weight > 0 ? this.wordsFor(store, terms, lastFile, cursor) : noWords }
  }

  private maskOf(store: IndexStore, filters: Filters, count: number, without: readonly number[]): Mask | null {
    return this.masks.mask(store, filters, count, versionOf(store), without)
  }

  private wordsFor(store: IndexStore, terms: readonly SearchTerm[], lastFile: number, cursor: Cursor | null): WordHits {
    const state = { store, lastFile, version: versionOf(store), kept: this.words }
    if (cursor) return cursor.words.length === 0 ? noWords : wordHits(state, cursor.words)
    const words = wordsOf(terms)
    // Nearly: files that went leave gaps. Only logarithms of their number are used.
    return words.length === 0 ? noWords : findWords(state, words, lastFile)
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
    this.forget()
    return store
  }

  private forget(): void {
    this.masks.clear()
    this.words.clear()
  }

  private state(store: IndexStore): State {
    const lastFile = Number(store.row("SELECT max(id) AS id FROM files")?.id ?? 0)
    return { generation: store.active(), count: store.count, lastFile }
  }

  private isStill(store: IndexStore, { generation }: State): boolean {
    return store === this.store && store.active().id === generation.id
  }

  /** The generation's vectors and model; those of another one end with the queries that use them. */
  private open(generation: Generation): OpenGeneration {
    const id = `${this.place} ${generation.id} ${generation.created}`
    if (this.opened?.id === id) return this.opened.generation
    this.forget()
    if (this.opened) this.endLater(this.opened.generation)
    this.opened = { id, generation: new OpenGeneration(this.store, generation, this.options) }
    return this.opened.generation
  }

  private endLater(generation: OpenGeneration): void {
    const ending = generation.end().catch(() => {})
    this.ending.add(ending)
    ending.then(() => this.ending.delete(ending))
  }
}

/** What changes with every commit of another connection. */
function versionOf(store: IndexStore): number {
  return Number(Object.values(store.row("PRAGMA data_version")!)[0])
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

/** Its vector, of unit length, which rounding to float16 changed a little; null where the row has none. */
async function storedVector(open: OpenGeneration, row: number): Promise<Float32Array | null> {
  const vector = await (await open.scanner()).read(Uint32Array.of(row))
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
