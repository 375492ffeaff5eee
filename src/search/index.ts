/** `mobileclip/search`: one's own pictures, kept with their vectors in a folder, and found again. */

export { type ExportOptions, type ExportResult, exportIndex } from "./exchange/export/export-index.ts"
export { type ImportOptions, type ImportResult, importIndex } from "./exchange/import/import-index.ts"
export { parsePathPrefix } from "./exchange/import/path-map.ts"
export { type Generation, type IndexSettings, IndexStore } from "./store/index-store.ts"
