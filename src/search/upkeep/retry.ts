/** Files that could not be read, once more: after a decoder was installed, or a drive came back. */
import { UserError } from "../../core/errors.ts"
import { type IndexOptions, type IndexSummary, indexPictures } from "../indexing/index-pictures.ts"
import { IndexStore } from "../store/index-store.ts"

/**
 * All folders of the index are walked; of files that did not change, those that failed are read.
 *
 * @throws UserError where there is no index, or as `indexPictures` does
 */
export async function retryFailures(folder: string, options: Omit<IndexOptions, "retry"> = {}): Promise<IndexSummary> {
  if (!hasRoots(folder))
    throw new UserError(`the index in ${folder} has no folders yet`, "mobileclip index DIR --model MODEL")
  return indexPictures(folder, [], { ...options, retry: true })
}

function hasRoots(folder: string): boolean {
  using store = IndexStore.open(folder)
  return store.row("SELECT 1 AS found FROM roots LIMIT 1") !== undefined
}
