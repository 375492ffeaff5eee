/**
 * An index, open for searching: for one query, or for days in a server. It follows an index that grows, is migrated or compacted
 * meanwhile: each query is answered by one generation, and asked again where another one took its place before it ended.
 */
import { resolve } from "node:path"
import { answerQuery } from "./query/answer-query.ts"
import { describeIndex, type IndexDescription } from "./query/describe.ts"
import type { DuplicateOptions, Duplicates } from "./query/duplicates.ts"
import { FollowedIndex } from "./query/followed-index.ts"
import { joinPages } from "./query/page.ts"
import type { QueryModelOptions } from "./query/query-model.ts"
import { rowOfFile } from "./query/rows/look-up.ts"
import type { SearchPage } from "./query/search-page.ts"
import { requireRequest, type SearchRequest, type SearchTerm, type SimilarRequest } from "./query/search-request.ts"

export type SearchOptions = QueryModelOptions

export class SearchIndex implements AsyncDisposable {
  private readonly index: FollowedIndex

  private constructor(
    readonly folder: string,
    private readonly options: SearchOptions,
  ) {
    this.index = new FollowedIndex(folder, options)
  }

  /**
   * Opens no model yet: `warm` does, or the first query that needs it.
   *
   * @throws UserError where there is no index, it is damaged or of a newer version, or `model` is not the index's
   */
  static async open(folder: string, options: SearchOptions = {}): Promise<SearchIndex> {
    const opened = new SearchIndex(resolve(folder), options)
    try {
      if (options.model !== undefined) await opened.index.generation().model.requireChosen()
      return opened
    } catch (error) {
      await opened.dispose()
      throw error
    }
  }

  /** Opens the text tower, so that no query waits for it. */
  async warm(): Promise<void> {
    const open = this.index.generation()
    await open.using(() => open.model.warm())
  }

  /** Throws UserError for a query that cannot be asked, a picture that cannot be read, another model, or a cursor of another query. */
  async search(request: SearchRequest): Promise<SearchPage> {
    requireRequest(request)
    return this.index.onOneState((state) => answerQuery(this.index, state, request, this.options.threads))
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
    return this.index.onOneState((state) => findDuplicates(this.index, state, options))
  }

  describe(): IndexDescription {
    return describeIndex(this.index.database())
  }

  /** Whether an absolute path is that of a file of the index. */
  hasFile(path: string): boolean {
    return rowOfFile(this.index.database(), resolve(path)) !== null
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  /** Frees the model and closes the index as soon as queries have ended. */
  dispose(): Promise<void> {
    return this.index[Symbol.asyncDispose]()
  }
}
