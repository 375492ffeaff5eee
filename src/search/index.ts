/** `mobileclip/search`: one's own pictures, kept with their vectors in a folder, and found again. */

export type { Verdict } from "./calibrate/calibration.ts"
export { type ExportOptions, type ExportResult, exportIndex } from "./exchange/export/export-index.ts"
export { type ImportOptions, type ImportResult, importIndex } from "./exchange/import/import-index.ts"
export { parsePathPrefix } from "./exchange/import/path-map.ts"
export { defaultIndexFolder } from "./indexing/index-folder.ts"
export { type IndexOptions, type IndexSummary, indexPictures, retryFailures } from "./indexing/index-pictures.ts"
export { makeThumbnails, type ThumbnailsOptions, type ThumbnailsResult, thumbnailPath } from "./indexing/thumbnails.ts"
export { type WatchOptions, watchPictures } from "./indexing/watch.ts"
export { type CheckOptions, type CheckResult, checkModel } from "./migrate/check-model.ts"
export { type MigrateOptions, type MigrateResult, migrateIndex } from "./migrate/migrate-index.ts"
export { type PreviewOptions, type PreviewResult, previewModel } from "./migrate/preview-model.ts"
export type { IndexDescription } from "./query/describe.ts"
export {
  type DuplicateGroup,
  type DuplicateOptions,
  type DuplicatePicture,
  type Duplicates,
  duplicateDefaults,
  worseFiles,
} from "./query/duplicates.ts"
export type { Filters, Near, Shape, SizeBound, TimeRange } from "./query/filters.ts"
export { type FilterWords, parseFilters } from "./query/parse/parse-filters.ts"
export { type ParsedQuery, parseQuery, type QueryTerm, queryText } from "./query/parse/parse-query.ts"
export type { Explanation, SearchHit, SearchPage, WordScore } from "./query/search-page.ts"
export { type SearchRequest, type SearchTerm, type SimilarRequest, searchDefaults } from "./query/search-request.ts"
export { SearchIndex, type SearchOptions } from "./search-index.ts"
export { type CheckedHit, type CheckedPage, checkFiles } from "./show/hit-files.ts"
export { type Generation, type IndexSettings, IndexStore } from "./store/index-store.ts"
export { type CompactOptions, type CompactResult, compactIndex } from "./upkeep/compact.ts"
export { excludedPaths, type ForgetOptions, type ForgetResult, forgetPaths, undoForget } from "./upkeep/forget.ts"
export { type IndexStatus, indexStatus, type StatusOptions } from "./upkeep/status.ts"
export { type VerifyOptions, type VerifyResult, verifyIndex } from "./upkeep/verify.ts"
