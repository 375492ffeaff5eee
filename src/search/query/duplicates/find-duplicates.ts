/**
 * Groups of pictures that are the same, or nearly. The best of a group is its centre: every other one is at least as like it as
 * the threshold says, so that no chain leads from a picture to one that is not like it. Best first, each picture is in one group.
 */
import { statSync } from "node:fs"
import { setImmediate } from "node:timers/promises"
import { counted } from "../../../core/counted.ts"
import { UserError } from "../../../core/errors.ts"
import type { Pairs } from "../../scan/scanner.ts"
import type { IndexStore } from "../../store/index-store.ts"
import { type Filters, requireFilters } from "../filters.ts"
import type { FollowedIndex, IndexState } from "../followed-index.ts"
import { type FoundContent, lookUpRows } from "../rows/look-up.ts"
import { isIn, type Mask } from "../rows/mask.ts"
import { type DuplicateGroup, groupsOf, inParts } from "./groups.ts"
import { withSharpness } from "./picture-sharpness.ts"

/** A judgement for published models, which were not measured; docs/search.md says what it finds with small ones. */
export const duplicateDefaults = { threshold: 0.96 } as const

export interface DuplicateOptions {
  /** Least cosine; 1: the same bytes alone. */
  readonly threshold?: number | undefined
  readonly filters?: Filters | undefined
  readonly threads?: number | undefined
  readonly signal?: AbortSignal | undefined
  /** Pictures, in proportion to the pairs that were compared. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined
  /** Pictures whose sharpness was measured, of those that decide by it. */
  readonly onSharpness?: ((done: number, total: number) => void) | undefined
}

export interface Duplicates {
  /** By the best one's path. */
  readonly groups: readonly DuplicateGroup[]
  readonly threshold: number
  readonly searched: number
  /** What a person should know about this result, a line each. */
  readonly notes: readonly string[]
}

/** Null where another generation answers when it ends. Throws UserError for a threshold out of its range. */
export async function findDuplicates(
  index: FollowedIndex,
  state: IndexState,
  options: DuplicateOptions,
): Promise<Duplicates | null> {
  const { threshold = duplicateDefaults.threshold, filters = {}, signal, onSharpness } = options
  if (!(threshold > 0 && threshold <= 1))
    throw new UserError(`threshold: ${threshold} is not above 0 and at most 1`, "write 0.96, or 1 for the same bytes")
  requireFilters(filters)
  const { store, open, count } = state
  const mask = store.reading(() => open.masks.mask(store, filters, count))
  const searched = mask?.left ?? count
  const near = threshold === 1 || searched === 0 ? noPairs : await nearPairs(state, mask, { ...options, threshold })
  const copied = index.readStill(state, () => copiedRows(store).filter((row) => isIn(row, count, mask)))
  const contents = copied && (await lookedUp(index, state, await rowsIn(near, copied, count, signal), options))
  if (!contents) return null
  const measured = await withSharpness(contents, near, { signal, onProgress: onSharpness })
  const groups = await groupsOf(measured, near, signal)
  return { groups, threshold, searched, notes: notesOf(groups, threshold, searched) }
}

/** Each row once, in order. */
async function rowsIn({ a, b }: Pairs, copied: readonly number[], count: number, signal: AbortSignal | undefined) {
  const isFound = new Uint8Array(count)
  for (const row of copied) isFound[row] = 1
  await inParts(a.length, signal, (i) => {
    isFound[a[i]!] = 1
    isFound[b[i]!] = 1
  })
  const rows: number[] = []
  await inParts(count, signal, (row) => {
    if (isFound[row]) rows.push(row)
  })
  return rows
}

const rowsAtOnce = 4096

/** In transactions of some rows each; null where another generation answers before the last one. */
async function lookedUp(
  index: FollowedIndex,
  state: IndexState,
  rows: readonly number[],
  { filters = {}, signal }: DuplicateOptions,
): Promise<Map<number, FoundContent> | null> {
  const all = new Map<number, FoundContent>()
  for (let from = 0; from < rows.length; from += rowsAtOnce) {
    const some = rows.slice(from, from + rowsAtOnce)
    const found = index.readStill(state, () => lookUpRows(state.store, some, filters, "passing only"))
    if (found === null) return null
    for (const [row, content] of found) all.set(row, content)
    await setImmediate()
    signal?.throwIfAborted()
  }
  return all
}

/** A larger part of one's pictures is rarely copies: then the model finds many pictures nearly the same. */
const usualShare = 0.2
const fewPictures = 50

function notesOf(groups: readonly DuplicateGroup[], threshold: number, searched: number): string[] {
  const near = groups.filter(({ others }) => others.length > 0)
  const grouped = near.reduce((sum, { others }) => sum + 1 + others.length, 0)
  if (searched < fewPictures || grouped <= usualShare * searched) return []
  const share = Math.round((100 * grouped) / searched)
  return [
    `${share} % of ${counted(searched, "picture")} are in a group: by this model a cosine of ${threshold} is common among different pictures too; look at the groups before you delete, and raise the threshold (--threshold)`,
  ]
}

async function nearPairs(
  { open, count }: IndexState,
  mask: Mask | null,
  { threshold, threads, signal, onProgress }: DuplicateOptions & { readonly threshold: number },
): Promise<Pairs> {
  const scanner = await open.scanner()
  const pictures = mask?.left ?? count
  // Scanners count blocks of pairs, of sizes of their own.
  const inPictures = (done: number, total: number) => onProgress?.(Math.floor((pictures * done) / total), pictures)
  return scanner.nearPairs({
    ...{ count, threshold },
    ...(mask && { mask: mask.bits }),
    ...(threads !== undefined && { threads }),
    ...(signal && { signal }),
    ...(onProgress && { onProgress: inPictures }),
  })
}

/** Rows of contents that several files have. */
function copiedRows(store: IndexStore): number[] {
  return store.rows("SELECT id FROM contents WHERE copies > 1").map(({ id }) => Number(id) - 1)
}

const noPairs: Pairs = { a: new Uint32Array(0), b: new Uint32Array(0), scores: new Float32Array(0) }

/**
 * The files that could go: all of a group but one of its best picture that is there. A file that is the same one by another
 * name, by a link or a folder that is indexed twice, is not among them, nor is anything of a group whose best file is gone.
 */
export function worseFiles(groups: readonly DuplicateGroup[]): string[] {
  return groups.flatMap(({ best, others }) => {
    const kept = best.paths.find((path) => fileOf(path) !== null)
    if (kept === undefined) return []
    const seen = new Set([fileOf(kept)])
    return [...best.paths, ...others.flatMap(({ paths }) => paths)].filter((path) => {
      const file = fileOf(path)
      if (file === null || seen.has(file)) return false
      seen.add(file)
      return true
    })
  })
}

/** What is the same for all names of a file; null where there is none. */
function fileOf(path: string): string | null {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false })
  return found ? `${found.dev} ${found.ino}` : null
}
