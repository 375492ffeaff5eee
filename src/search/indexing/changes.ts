/**
 * What is new, changed and gone in the folders of an index. A change of a picture is noticed by its size or time, one of what is
 * said beside it by the time of that file, which is later than the last walk.
 */
import { type Stats, stat as statOf } from "node:fs"
import { join, sep } from "node:path"
import { promisify } from "node:util"
import { counted } from "../../core/counted.ts"
import { isDirectory } from "../../host/files/files.ts"
import { mayDescribe, namesBeside } from "../../host/image/caption-beside.ts"
import { walkPictures } from "../../host/image/picture-folder.ts"
import type { IndexStore } from "../store/index-store.ts"
import type { NewFile } from "../store/picture-rows.ts"
import { type IndexedPart, isWithin } from "./roots.ts"

export interface FolderChanges {
  /** New or changed, or to be tried again; in the order of paths. */
  readonly files: readonly NewFile[]
  /** Of the unchanged ones those beside which something is said anew. */
  readonly described: readonly NewFile[]
  /** Files that are as they are in the index. */
  readonly unchanged: number
  /** Files that could not be read, and are as they were then. */
  readonly failedBefore: number
  /** Ids of files that are not there any more. */
  readonly gone: readonly number[]
  /** Paths of failures that are not there any more. */
  readonly goneFailures: readonly string[]
  /** Paths of all other files below the root, for what they may say about pictures. */
  readonly others: ReadonlySet<string>
  /** When the folder began to be walked, ISO 8601; null: it is not there. */
  readonly walked: string | null
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

/** Milliseconds by which times of files are behind the clock: FAT counts in two seconds, others in some milliseconds. */
const coarseness = 2000

// The function of node:fs/promises takes twice the time.
const stat = promisify(statOf)
const statsAtOnce = 64

/**
 * @param lost ids of contents without a vector: their files are taken for changed
 * @throws UserError where the folder is there and cannot be read
 */
export async function folderChanges(
  store: IndexStore,
  part: IndexedPart,
  lost: ReadonlySet<number>,
  { retry = false, prune = false, signal }: ChangeOptions,
): Promise<FolderChanges> {
  const known = knownFiles(store, part)
  const failures = failedFiles(store, part)
  const folder = join(part.path, part.below)
  if (!(await isDirectory(folder))) return withoutFolder(folder, known, prune)
  const walked = new Date().toISOString()
  const found = await walkPictures(folder)
  const paths = found.pictures.map((path) => join(part.below, path)).filter(isWanted(store, part))
  const comparison = new Comparison(part, known, lost, retry ? new Map() : failures)
  await comparison.add(paths, signal)
  const others = part.below === "" ? found.others : new Set([...found.others].map((path) => join(part.below, path)))
  const since = Date.parse(lastWalk(store, part) ?? walked) - coarseness
  const described = await comparison.describedSince(since, others, signal)
  const unread = found.unread.map(({ path }) => join(part.below, path))
  const isGone = (path: string) => !comparison.seen.has(path) && !unread.some((inside) => isWithin(path, inside))
  const gone = [...known].filter(([path]) => isGone(path))
  const isKept = found.pictures.length === 0 && gone.length > 0 && !prune
  return {
    ...{ files: comparison.files, described, others, walked },
    ...{ unchanged: comparison.unchanged.length, failedBefore: comparison.failedBefore },
    gone: isKept ? [] : gone.map(([, { id }]) => id),
    goneFailures: isKept ? [] : [...failures.keys()].filter(isGone),
    notes: isKept ? [...found.notes, emptyText(folder, gone.length)] : found.notes,
  }
}

/** What stands in the index of a file. */
interface KnownFile {
  readonly id: number
  readonly size: number
  readonly mtime: number
  readonly content: number
}

/** The files of a part of a folder, against those in the index. */
class Comparison {
  readonly files: NewFile[] = []
  readonly unchanged: NewFile[] = []
  readonly seen = new Set<string>()
  failedBefore = 0

  constructor(
    private readonly part: IndexedPart,
    private readonly known: ReadonlyMap<string, KnownFile>,
    private readonly lost: ReadonlySet<number>,
    private readonly failures: ReadonlyMap<string, SizeAndTime>,
  ) {}

  async add(paths: readonly string[], signal?: AbortSignal): Promise<void> {
    for await (const { path, found } of this.stats(paths, signal)) {
      if (!found || this.seen.has(path)) continue
      this.seen.add(path)
      const file = { root: this.part.root, path, size: found.size, mtime: found.mtimeMs }
      if (this.isUnchanged(file)) this.unchanged.push(file)
      else if (isSame(file, this.failures.get(path))) this.failedBefore++
      else this.files.push(file)
    }
  }

  /** Unchanged files with one of the others beside them that came or changed since then. */
  async describedSince(time: number, others: ReadonlySet<string>, signal?: AbortSignal): Promise<NewFile[]> {
    const recent = new Set<string>()
    // A copy may have the time of what it is of; when it came is another one.
    for await (const { path, found } of this.stats([...others].filter(mayDescribe), signal))
      if (found && Math.max(found.mtimeMs, found.ctimeMs) >= time) recent.add(path)
    if (recent.size === 0) return []
    return this.unchanged.filter(({ path }) => namesBeside(path).some((name) => recent.has(name)))
  }

  private isUnchanged(file: NewFile): boolean {
    const before = this.known.get(file.path)
    return isSame(file, before) && !this.lost.has(before!.content)
  }

  /** In the order of the paths. */
  private async *stats(paths: readonly string[], signal?: AbortSignal) {
    for (let i = 0; i < paths.length; i += statsAtOnce) {
      signal?.throwIfAborted()
      const some = paths.slice(i, i + statsAtOnce)
      const found = await Promise.all(some.map((path) => statOrUnknown(join(this.part.path, path))))
      for (const [j, path] of some.entries()) yield { path, found: found[j]! }
    }
  }
}

type FoundStats = Pick<Stats, "size" | "mtimeMs" | "ctimeMs">

/** Null where it was removed since the walk. What cannot be looked at now is read, which tells the reason. */
function statOrUnknown(path: string): Promise<FoundStats | null> {
  return stat(path).catch(({ code }: NodeJS.ErrnoException) => {
    const isRemoved = ["ENOENT", "ENOTDIR"].includes(code ?? "") && !isUnnameable(path)
    return isRemoved ? null : { size: 0, mtimeMs: 0, ctimeMs: 0 }
  })
}

/** Whether a name has letters that stand for bytes which are not UTF-8: no file is found by it. */
export function isUnnameable(path: string): boolean {
  return path.includes("\ufffd")
}

type SizeAndTime = Pick<KnownFile, "size" | "mtime">

function isSame({ size, mtime }: SizeAndTime, before: SizeAndTime | undefined): boolean {
  return before?.size === size && before.mtime === mtime
}

function withoutFolder(folder: string, known: ReadonlyMap<string, KnownFile>, prune: boolean): FolderChanges {
  const gone = prune ? [...known.values()].map(({ id }) => id) : []
  const notes = prune
    ? []
    : [`${folder} is not there: its ${counted(known.size, "file is", "files are")} kept; ${pruneText}`]
  return {
    ...{ files: [], described: [], unchanged: known.size - gone.length, failedBefore: 0 },
    ...{ gone, goneFailures: [], others: new Set<string>(), walked: null, notes },
  }
}

const pruneText = "--prune removes them where it is gone for good"

function emptyText(folder: string, count: number): string {
  return `${folder} has no pictures any more, as a drive that is not mounted: its ${counted(count, "file is", "files are")} kept; ${pruneText}`
}

/** By path below the root. */
function knownFiles(store: IndexStore, part: IndexedPart): Map<string, KnownFile> {
  const rows = store.rows(`SELECT id, path, size, mtime, content FROM files ${inPart}`, ...bounds(part))
  return new Map(rows.map((row) => [row.path as string, row as unknown as KnownFile]))
}

function failedFiles(store: IndexStore, part: IndexedPart): Map<string, SizeAndTime> {
  const rows = store.rows(`SELECT path, size, mtime FROM failures ${inPart}`, ...bounds(part))
  return new Map(rows.map((row) => [row.path as string, row as unknown as SizeAndTime]))
}

const inPart = "WHERE root = ?1 AND (?2 = '' OR substr(path, 1, length(?2)) = ?2)"

function bounds({ root, below }: IndexedPart): [number, string] {
  return [root, below === "" ? "" : below + sep]
}

/** Null: never to its end. */
function lastWalk(store: IndexStore, { root }: IndexedPart): string | null {
  return store.row("SELECT walked FROM roots WHERE id = ?", root)!.walked as string | null
}

/** For `filter`: what a person did not have forgotten, and is not the index's own, whose thumbnails may lie among the pictures. */
function isWanted(store: IndexStore, { path: root }: IndexedPart): (path: string) => boolean {
  const excluded = new Set([store.folder, ...store.rows("SELECT path FROM excluded").map(({ path }) => path as string)])
  return (path) => {
    const whole = join(root, path)
    for (let end = whole.length; end > 0; end = whole.lastIndexOf(sep, end - 1))
      if (excluded.has(whole.slice(0, end))) return false
    return true
  }
}
