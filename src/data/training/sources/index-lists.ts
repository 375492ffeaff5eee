/** Index files beside lists of pictures, so that every later start of training opens a list without a look at its rows. */
import { dirname } from "node:path"
import type { StartProgress } from "../../../core/progress.ts"
import { indexBeside, indexCacheFolder, isWritable } from "../../sample-index/index-places.ts"
import { type IndexedShards, type IndexShardsOptions, indexShards } from "../../sample-index/index-shards.ts"
import { pathOf } from "../../stores/local.ts"
import { isLocal } from "../../stores/open.ts"
import { csvKind } from "./csv.ts"
import { listSizes } from "./identity.ts"
import { type IndexedList as OpenIndexedList, openIndexed } from "./lists/indexed-list.ts"
import { jsonlKind } from "./pairs.ts"
import { detectFormat } from "./source.ts"

export interface IndexListOptions {
  readonly imageColumn?: string
  readonly captionColumn?: string
  readonly separator?: string
  /** Makes the index again where it is there and fits. */
  readonly again?: boolean
  readonly startProgress?: StartProgress
  readonly signal?: AbortSignal
  readonly onNote?: (line: string) => void
}

export interface IndexedList {
  readonly path: string
  readonly rows: number
  /** `small`: it has none, because it is read as fast as an index. */
  readonly index: "made" | "found" | "small"
}

export interface IndexedSources extends IndexedShards {
  readonly lists: readonly IndexedList[]
}

/** Indexes of shards and of lists of pictures. Throws as `indexShards` and `indexList` do. */
export async function indexSources(options: IndexShardsOptions & IndexListOptions): Promise<IndexedSources> {
  const sources = [options.sources].flat()
  const lists: IndexedList[] = []
  const shards: string[] = []
  for (const source of sources) {
    if ((await listFormat(source)) === null) shards.push(source)
    else lists.push(await indexList(source, options))
  }
  const hasShards = shards.length > 0 || lists.length === 0
  return { ...(hasShards ? await indexShards({ ...options, sources: shards }) : noShards), lists }
}

const noShards: IndexedShards = { shards: 0, made: 0, inCache: 0, small: 0, compressed: 0, samples: 0, damaged: [] }

/**
 * Throws UserError where it is not a list of pictures, or a row is damaged, and the signal's reason.
 *
 * @param canWrite whether a folder can be written to: else the index is kept in the user's cache
 */
export async function indexList(
  source: string,
  options: IndexListOptions = {},
  canWrite = isWritable,
): Promise<IndexedList> {
  const path = pathOf(source)
  const kind = ((await listFormat(source)) === "jsonl" ? jsonlKind : csvKind)(path, options)
  const list = await openIndexed(path, kind, options)
  try {
    const text = JSON.stringify(await listSizes(list))
    const isFound = list.hasIndexBeside(text) && options.again !== true
    const found = { path, rows: list.count }
    if (list.isInMemory || isFound) return { ...found, index: isFound ? "found" : "small" }
    if (await canWrite(dirname(path))) await list.writeIndex(text)
    else if (await isInCache(list, text, options)) return { ...found, index: "found" }
    return { ...found, index: "made" }
  } finally {
    list.close()
  }
}

/** Null where a source is not a list of pictures on this machine. Throws UserError where it is one JSON array. */
async function listFormat(source: string): Promise<"csv" | "jsonl" | null> {
  if (!isLocal(source) || !/\.(csv|tsv|txt|jsonl?|ndjson)$/i.test(source)) return null
  const format = await detectFormat(source)
  return format === "csv" || format === "jsonl" ? format : null
}

/** Whether it was there before; else it is made. */
async function isInCache(list: OpenIndexedList, text: string, { onNote }: IndexListOptions): Promise<boolean> {
  onNote?.(`${indexBeside(list.path)} cannot be written: the index goes to ${indexCacheFolder()}, for this user alone`)
  const isThere = list.hasDigest(text)
  await list.digest(text)
  return isThere
}
