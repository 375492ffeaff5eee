/**
 * The LanceDB table of an index (`--store lancedb`): where it is, how it follows the index, and how it is searched. The index
 * keeps its file of vectors, from which the table can be filled again at any time.
 */
import { resolve } from "node:path"
import { UserError } from "../../core/errors.ts"
import { CheckedScanner } from "../scan/checked-scanner.ts"
import type { Scanner } from "../scan/scan-request.ts"
import type { IndexSettings, IndexStore } from "../store/index-store.ts"
import { LanceScanner } from "./lance-scanner.ts"
import { type Optimized, optimizeTable } from "./optimize.ts"
import { type Pushed, type PushOptions, pushTo } from "./push.ts"
import { type TableGeneration, VectorTable } from "./vector-table.ts"

/** The folder in an index that is taken where no address is named: relative, so that the index may be moved. */
const ownFolder = "lancedb"

/** @param text "file", "lancedb" (a folder in the index) or "lancedb:URI" */
export function storeChoice(text: string): IndexSettings["store"] {
  if (text === "file") return "file"
  if (text === "lancedb") return { lancedb: ownFolder }
  const uri = /^lancedb:(.+)$/.exec(text)?.[1]
  if (uri !== undefined) return { lancedb: hasScheme.test(uri) ? uri : resolve(uri) }
  throw new UserError(`there is no store ${text}`, "file, lancedb, or lancedb:URI (a folder, or s3://bucket/path)")
}

const hasScheme = /^\w+:\/\//

/** @param folder of the index */
function addressOf(uri: string, folder: string): string {
  return hasScheme.test(uri) ? uri : resolve(folder, uri)
}

/**
 * After rows were added or forgotten. Throws UserError where LanceDB is not installed, or the table is another index's.
 *
 * @param uri as the index's settings have it
 */
export async function followIndex(
  uri: string,
  store: IndexStore,
  generation: TableGeneration,
  options: PushOptions = {},
): Promise<Pushed & Optimized> {
  const address = addressOf(uri, store.folder)
  const pushed = await pushTo(address, store, generation, options)
  return { ...pushed, ...(await optimizeTable(address, store.folder, generation, { erases: options.erases })) }
}

/**
 * Throws UserError where LanceDB is not installed, or there is no such table.
 *
 * @param uri as the index's settings have it
 * @param folder of the index
 */
export async function openTableScanner(uri: string, folder: string, generation: TableGeneration): Promise<Scanner> {
  const table = await VectorTable.open(addressOf(uri, folder), folder, generation, true)
  return new CheckedScanner(new LanceScanner(table))
}
