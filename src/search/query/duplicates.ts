/**
 * Groups of pictures that are the same, or nearly. The best of a group is its centre: every other one is at least as like it as
 * the threshold says, so that no chain leads from a picture to one that is not like it. Best first, each picture is in one group.
 */
import { statSync } from "node:fs"
import { UserError } from "../../core/errors.ts"
import type { Pairs } from "../scan/scanner.ts"
import type { IndexStore } from "../store/index-store.ts"
import type { Filters } from "./filters.ts"
import type { FollowedIndex, IndexState } from "./followed-index.ts"
import { withSharpness } from "./picture-sharpness.ts"
import { type FoundContent, lookUpRows } from "./rows/look-up.ts"
import { isIn, type Mask } from "./rows/mask.ts"

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

export interface DuplicatePicture {
  /** Paths of all files with these bytes that pass the filters. */
  readonly paths: readonly string[]
  /** With the best of the group; 1 for itself. */
  readonly cosine: number
  readonly width: number
  readonly height: number
  readonly bytes: number
  /** Null where it was not measured: it decides only between pictures of as many pixels. */
  readonly sharpness: number | null
  readonly position: number
}

/** The best by pixels, then sharpness, then bytes. */
export interface DuplicateGroup {
  readonly best: DuplicatePicture
  /** The most similar first; empty where the same bytes are in several files. */
  readonly others: readonly DuplicatePicture[]
}

export interface Duplicates {
  /** By the best one's path. */
  readonly groups: readonly DuplicateGroup[]
  readonly threshold: number
  readonly searched: number
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
  const { store, open, count } = state
  const mask = store.reading(() => open.masks.mask(store, filters, count))
  const searched = mask?.left ?? count
  const near = threshold === 1 || searched === 0 ? noPairs : await nearPairs(state, mask, { ...options, threshold })
  const contents = index.readStill(state, () => {
    const rows = new Set([...near.a, ...near.b, ...copiedRows(store).filter((row) => isIn(row, count, mask))])
    return lookUpRows(store, [...rows], filters, "passing only")
  })
  if (contents === null) return null
  const measured = await withSharpness(contents, near, { signal, onProgress: onSharpness })
  return { groups: groupsOf(measured, near), threshold, searched }
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

/** Centres are taken best first: all that are near one and in no group yet are its group. */
export function groupsOf(contents: ReadonlyMap<number, FoundContent>, pairs: Pairs): DuplicateGroup[] {
  const near = neighbours(pairs)
  const taken = new Set<number>()
  const groups: DuplicateGroup[] = []
  for (const best of [...contents.values()].sort(betterFirst)) {
    if (taken.has(best.position)) continue
    taken.add(best.position)
    const others = (near.get(best.position) ?? []).filter(({ row }) => contents.has(row) && !taken.has(row))
    for (const { row } of others) taken.add(row)
    if (others.length === 0 && best.paths.length === 1) continue
    others.sort((x, y) => y.cosine - x.cosine || x.row - y.row)
    groups.push({
      best: pictureOf(best, 1),
      others: others.map(({ row, cosine }) => pictureOf(contents.get(row)!, cosine)),
    })
  }
  return groups.sort((x, y) => (x.best.paths[0]! < y.best.paths[0]! ? -1 : 1))
}

interface Neighbour {
  readonly row: number
  readonly cosine: number
}

/** By row. */
function neighbours({ a, b, scores }: Pairs): Map<number, Neighbour[]> {
  const near = new Map<number, Neighbour[]>()
  const add = (from: number, row: number, cosine: number) => {
    const own = near.get(from)
    if (own) own.push({ row, cosine })
    else near.set(from, [{ row, cosine }])
  }
  for (let i = 0; i < a.length; i++) {
    add(a[i]!, b[i]!, scores[i]!)
    add(b[i]!, a[i]!, scores[i]!)
  }
  return near
}

function betterFirst(x: FoundContent, y: FoundContent): number {
  const pixels = y.width * y.height - x.width * x.height
  return pixels || (y.sharpness ?? -1) - (x.sharpness ?? -1) || y.bytes - x.bytes || x.position - y.position
}

function pictureOf(
  { paths, width, height, bytes, sharpness, position }: FoundContent,
  cosine: number,
): DuplicatePicture {
  return { paths, cosine: Math.min(cosine, 1), width, height, bytes, sharpness, position }
}

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
