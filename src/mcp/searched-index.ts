/** What the server needs of an index and its model: `open-index.ts` gives it, and tests give small ones. */
import type { LabelScore } from "../run/labels/rank-labels.ts"
import type { IndexDescription } from "../search/query/describe.ts"
import type { Filters } from "../search/query/filters.ts"
import type { QueryTerm } from "../search/query/parse/parse-query.ts"
import type { SearchPage } from "../search/query/search-page.ts"

export interface IndexRequest {
  readonly terms: readonly QueryTerm[]
  readonly filters: Filters
  readonly limit: number
  /** The page before ended with it. */
  readonly cursor: string | undefined
  readonly signal: AbortSignal
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
