/** What the server needs of an index and its model: `open-index.ts` gives it, and tests give small ones. */
import type { LabelScore } from "../run/labels/rank-labels.ts"
import type { Filters } from "../search/query/filters.ts"
import type { QueryTerm } from "../search/query/parse-query.ts"
import type { SearchPage } from "../search/query/search-page.ts"

export interface IndexRequest {
  readonly terms: readonly QueryTerm[]
  readonly filters: Filters
  readonly limit: number
  /** Of the page before. */
  readonly cursor: string | undefined
  readonly signal: AbortSignal
}

export interface IndexDescription {
  /** Pictures with different bytes, and their files. */
  readonly pictures: number
  readonly files: number
  readonly model: string
  readonly dim: number
  /** Folders that were indexed. */
  readonly roots: readonly string[]
  /** Local times of the first and the last picture that has one; null where none has. */
  readonly taken: { readonly first: string; readonly last: string } | null
  /** The most frequent first. */
  readonly cameras: readonly { readonly name: string; readonly pictures: number }[]
  readonly failures: { readonly count: number; readonly some: readonly { path: string; reason: string }[] }
}

export interface ClassifiedPicture {
  readonly path: string
  /** The best first; empty where the picture could not be read. */
  readonly labels: readonly LabelScore[]
  readonly error: string | null
}

export interface SearchedIndex {
  search(request: IndexRequest): Promise<SearchPage>
  describe(): Promise<IndexDescription>
  /** Whether an absolute path is that of a file of the index. */
  hasFile(path: string): boolean
  classify(
    paths: readonly string[],
    labels: readonly string[],
    options: { readonly top: number; readonly signal: AbortSignal },
  ): Promise<ClassifiedPicture[]>
}
