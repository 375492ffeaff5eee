/** What is new, changed and gone in the folders of an index. A change is noticed by a file's size or time. */
import { stat as statOf } from "node:fs"
import { join, sep } from "node:path"
import { promisify } from "node:util"
import { isDirectory } from "../../host/files/files.ts"
import { walkPictures } from "../../host/image/picture-folder.ts"
import type { IndexStore } from "../store/index-store.ts"
import type { NewFile } from "../store/index-writer.ts"
import type { IndexedPart } from "./roots.ts"

export interface FolderChanges {
  /** New or changed, or to be tried again; in the order of paths. */
  readonly files: readonly NewFile[]
  /** As they are in the index. */
  readonly unchanged: number
  /** Ids of files that are not there any more. */
  readonly gone: readonly number[]
  /** Failures of files that are not there any more. */
  readonly goneFailures: readonly string[]
  /** Paths of all other files, for captions beside pictures. */
  readonly others: ReadonlySet<string>
  /** What was passed over or kept, a line each. */
  readonly notes: readonly string[]
}

export interface ChangeOptions {
  /** Whether files that failed before are tried again though they did not change. */
  readonly retry?: boolean | undefined
  /** Whether files of a folder that is gone or empty lose their rows. */
  readonly prune?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

// The function of node:fs/promises takes twice the time.
const stat = promisify(statOf)
const statsAtOnce = 64

/** @throws UserError where the folder is there and cannot be read */
export async function folderChanges(
  store: IndexStore,
  part: IndexedPart,
  { retry = false, prune = false, signal }: ChangeOptions,
): Promise<FolderChanges> {
  const known = knownFiles(store, part)
  const folder = join(part.path, part.below)
  if (!(await isDirectory(folder))) return withoutFolder(folder, known, prune)
  const walked = await walkPictures(folder)
  const failures = failedFiles(store, part)
  // The index's own folder, which has thumbnails, may lie among the pictures.
  const excluded = new Set([store.folder, ...store.rows("SELECT path FROM excluded").map(({ path }) => path as string)])
  const [files, seen]: [NewFile[], Set<string>] = [[], new Set()]
  let unchanged = 0
  for (let i = 0; i < walked.pictures.length; i += statsAtOnce) {
    signal?.throwIfAborted()
    const paths = walked.pictures.slice(i, i + statsAtOnce).map((path) => join(part.below, path))
    const stats = await Promise.all(paths.map((path) => stat(join(part.path, path)).catch(() => null)))
    for (const [j, path] of paths.entries()) {
      const found = stats[j]
      if (!found || isExcluded(join(part.path, path), excluded)) continue
      seen.add(path)
      const before = known.get(path) ?? (retry ? undefined : failures.get(path))
      if (before?.size === found.size && before.mtime === found.mtimeMs) unchanged++
      else files.push({ root: part.root, path, size: found.size, mtime: found.mtimeMs })
    }
  }
  const unread = walked.unread.map(({ path }) => join(part.below, path) + sep)
  const isGone = (path: string) => !seen.has(path) && !unread.some((start) => path.startsWith(start))
  const gone = [...known].filter(([path]) => isGone(path))
  const others = new Set([...walked.others].map((path) => join(folder, path)))
  const isEmpty = walked.pictures.length === 0 && gone.length > 0 && !prune
  return {
    ...{ files, unchanged, others },
    gone: isEmpty ? [] : gone.map(([, { id }]) => id),
    goneFailures: isEmpty ? [] : [...failures.keys()].filter(isGone),
    notes: isEmpty ? [...walked.notes, emptyText(folder, gone.length)] : walked.notes,
  }
}

interface KnownFile {
  readonly id: number
  readonly size: number
  readonly mtime: number
}

function withoutFolder(folder: string, known: ReadonlyMap<string, KnownFile>, prune: boolean): FolderChanges {
  const gone = prune ? [...known.values()].map(({ id }) => id) : []
  const notes = prune ? [] : [`${folder} is not there: its ${known.size} files are kept; ${pruneText}`]
  return { files: [], unchanged: known.size - gone.length, gone, goneFailures: [], others: new Set(), notes }
}

const pruneText = "--prune removes them where it is gone for good"

function emptyText(folder: string, count: number): string {
  return `${folder} has no pictures any more, as a drive that is not mounted: its ${count} files are kept; ${pruneText}`
}

/** By path below the root. */
function knownFiles(store: IndexStore, part: IndexedPart): Map<string, KnownFile> {
  const rows = store.rows(`SELECT id, path, size, mtime FROM files ${within}`, ...bounds(part))
  return new Map(
    rows.map(({ id, path, size, mtime }) => [
      path as string,
      { id: Number(id), size: Number(size), mtime: Number(mtime) },
    ]),
  )
}

function failedFiles(store: IndexStore, part: IndexedPart): Map<string, Omit<KnownFile, "id">> {
  const rows = store.rows(`SELECT path, size, mtime FROM failures ${within}`, ...bounds(part))
  return new Map(rows.map(({ path, size, mtime }) => [path as string, { size: Number(size), mtime: Number(mtime) }]))
}

const within = "WHERE root = ?1 AND (?2 = '' OR substr(path, 1, length(?2)) = ?2)"

function bounds({ root, below }: IndexedPart): [number, string] {
  return [root, below === "" ? "" : below + sep]
}

function isExcluded(path: string, excluded: ReadonlySet<string>): boolean {
  if (excluded.size === 0) return false
  for (let end = path.length; end > 0; end = path.lastIndexOf(sep, end - 1)) {
    if (excluded.has(path.slice(0, end))) return true
  }
  return false
}
