/**
 * What is new, changed and gone in the folders of an index. A change of a picture is noticed by its size or time, one of what is
 * said beside it by the time of that file, which is later than the last walk.
 */
import { type Stats, stat as statOf } from "node:fs"
import { dirname, join, sep } from "node:path"
import { promisify } from "node:util"
import { counted } from "../../core/counted.ts"
import { noProgress, ofLongWork, type StartProgress } from "../../core/progress.ts"
import { isDirectory } from "../../host/files/files.ts"
import { mayDescribe, namesBeside } from "../../host/image/caption-beside.ts"
import { walkPictures } from "../../host/image/picture-folder.ts"
import type { IndexStore } from "../store/index-store.ts"
import type { NewFile } from "../store/picture-rows.ts"
import { AwayFolders, isMissing } from "./away-folders.ts"
import { leavesOut, patternsWithin } from "./left-out.ts"
import { type IndexedPart, isWithin } from "./roots.ts"

export interface FolderChanges {
  /** New or changed, or to be tried again; in the order of paths. */
  readonly files: readonly NewFile[]
  /** Unchanged ones beside which something is said anew. */
  readonly described: readonly NewFile[]
  /** Files that are as they are in the index. */
  readonly unchanged: number
  /** Ids of files that could not be looked for: their folders are away, or cannot be read. Their rows stay. */
  readonly kept: readonly number[]
  /** Files that could not be read, and are as they were then. */
  readonly failedBefore: number
  /** Ids of files that are not there any more. */
  readonly gone: readonly number[]
  /** Paths of failures that are not there any more. */
  readonly goneFailures: readonly string[]
  /** Paths of all other files below the root, for what they may say about pictures. */
  readonly others: ReadonlySet<string>
  /** When the folder began to be walked, ISO 8601; null: not all of it could be looked at. */
  readonly walked: string | null
  /** What was passed over or kept, a line each. */
  readonly notes: readonly string[]
}

export interface ChangeOptions {
  /** Whether files that failed before are tried again though they did not change. */
  readonly retry?: boolean | undefined
  /** Whether files of a folder that is gone or empty lose their rows. */
  readonly prune?: boolean | undefined
  /** Patterns of what is left out of the named folders (`left-out.ts`), from now on; absent: those that they have. */
  readonly exclude?: readonly string[] | undefined
  readonly signal?: AbortSignal | undefined
  readonly startProgress?: StartProgress | undefined
}

/** Milliseconds by which times of files are behind the clock: FAT counts in two seconds, others in some milliseconds. */
const coarseness = 2000

// The function of node:fs/promises takes twice the time.
const stat = promisify(statOf)
const statsAtOnce = 64

/**
 * @param lost ids of contents without a vector: their files are taken for changed
 * @throws UserError where the folder is there and cannot be read; the signal's reason
 */
export async function folderChanges(
  store: IndexStore,
  part: IndexedPart,
  lost: ReadonlySet<number>,
  { retry = false, prune = false, signal, startProgress = noProgress }: ChangeOptions,
): Promise<FolderChanges> {
  const known = knownFiles(store, part)
  const failures = failedFiles(store, part)
  const folder = join(part.path, part.below)
  if (!(await isDirectory(folder))) return withoutFolder(folder, known, prune)
  const walked = new Date().toISOString()
  const isLeftOut = leavesOut(part.path, patternsWithin(store, part.path))
  const found = await walk(part, { isLeftOut, signal, startProgress })
  const isWanted = wantedIn(store, part)
  const comparison = new Comparison(part, known, lost, retry ? new Map() : failures, signal)
  await comparison.add(found.pictures.filter(isWanted), startProgress)
  const since = Date.parse(lastWalk(store, part) ?? walked) - coarseness
  const described = await comparison.describedSince(since, found.others)
  const isToGo = (path: string) => prune || !isWanted(path) || isWithinLeftOut(path, isLeftOut)
  const { notLookedAt, ...missing } = missingFiles(part, comparison, found.unread, isToGo)
  return {
    ...{ ...countsOf(comparison), described, others: found.others, ...missing },
    goneFailures: goneFailures(failures, comparison, notLookedAt),
    walked: missing.kept.length > 0 ? null : walked,
    notes: [...found.notes, ...missing.notes],
  }
}

function countsOf({ files, unchanged, failedBefore }: Comparison) {
  return { files, unchanged: unchanged.length, failedBefore }
}

/**
 * Files of the index that the walk did not find.
 *
 * @param unread folders that could not be read
 * @param isToGo whether a file goes even where its folder is away
 */
function missingFiles(
  part: IndexedPart,
  comparison: Comparison,
  unread: readonly string[],
  isToGo: (path: string) => boolean,
) {
  const away = new AwayFolders(part.path)
  const { gone, kept } = sorted(comparison.missing(), (path) => {
    const inside = unread.find((folder) => isWithin(path, folder))
    return inside ?? (isToGo(path) ? null : away.around(path))
  })
  return {
    ...{ gone, kept: [...kept.values()].flat(), notLookedAt: [...unread, ...kept.keys()] },
    notes: keptNotes(part.path, kept, unread),
  }
}

/** Paths of failures that the walk did not find, where it looked. */
function goneFailures(
  failures: ReadonlyMap<string, unknown>,
  { seen }: Comparison,
  notLookedAt: readonly string[],
): string[] {
  const isHidden = (path: string) => notLookedAt.some((folder) => isWithin(path, folder))
  return [...failures.keys()].filter((path) => !seen.has(path) && !isHidden(path))
}

interface WalkOptions extends Pick<ChangeOptions, "signal"> {
  readonly isLeftOut: (path: string) => boolean
  readonly startProgress: StartProgress
}

/** What the part has, by paths below its root. */
async function walk({ path, below }: IndexedPart, { isLeftOut, signal, startProgress }: WalkOptions) {
  const inRoot = (found: string) => join(below, found)
  const progress = ofLongWork(startProgress)("walking", 0, { unit: "files" })
  const { pictures, others, unread, notes } = await walkPictures(join(path, below), {
    isLeftOut: (found) => isLeftOut(inRoot(found)),
    onFound: (files) => progress.update(files),
    signal,
  })
  progress.done()
  return {
    ...{ pictures: pictures.map(inRoot), others: below === "" ? others : new Set([...others].map(inRoot)), notes },
    unread: unread.map((folder) => inRoot(folder.path)),
  }
}

function isWithinLeftOut(path: string, isLeftOut: (path: string) => boolean): boolean {
  return isLeftOut(path) || (path.includes(sep) && isWithinLeftOut(dirname(path), isLeftOut))
}

/**
 * The ids of files that were not found: those that are gone, and those that are kept, by the folder for which they are.
 *
 * @param folderOf null: the file is gone
 */
function sorted(files: Iterable<readonly [string, KnownFile]>, folderOf: (path: string) => string | null) {
  const gone: number[] = []
  const kept = new Map<string, number[]>()
  for (const [path, { id }] of files) {
    const folder = folderOf(path)
    const others = folder === null ? gone : (kept.get(folder) ?? [])
    others.push(id)
    if (folder !== null) kept.set(folder, others)
  }
  return { gone, kept }
}

const mostSaid = 5

/** Folders that cannot be read have a note of the walk. */
function keptNotes(root: string, where: ReadonlyMap<string, readonly number[]>, unread: readonly string[]): string[] {
  const notes = [...where].map(([folder, { length }]) => {
    const files = counted(length, "file is", "files are")
    return unread.includes(folder)
      ? `${join(root, folder)} cannot be read: its ${files} kept`
      : `${join(root, folder)} is empty, as a drive that is not mounted: its ${files} kept; ${pruneText}`
  })
  const rest = notes.length > mostSaid ? [`and ${notes.length - mostSaid} more folders whose files are kept`] : []
  return [...notes.slice(0, mostSaid), ...rest]
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
    private readonly signal: AbortSignal | undefined,
  ) {}

  async add(paths: readonly string[], startProgress: StartProgress): Promise<void> {
    const progress = ofLongWork(startProgress)("comparing", paths.length, { unit: "files" })
    let done = 0
    for await (const { path, found } of this.stats(paths)) {
      progress.update(++done)
      if (!found || this.seen.has(path)) continue
      this.seen.add(path)
      const file = { root: this.part.root, path, size: found.size, mtime: found.mtimeMs }
      if (this.isUnchanged(file)) this.unchanged.push(file)
      else if (isSame(file, this.failures.get(path))) this.failedBefore++
      else this.files.push(file)
    }
    progress.done()
  }

  /** Files of the index that were not found. */
  *missing(): Generator<readonly [string, KnownFile]> {
    for (const each of this.known) if (!this.seen.has(each[0])) yield each
  }

  /** Unchanged files with one of the others beside them that came or changed since then. */
  async describedSince(time: number, others: ReadonlySet<string>): Promise<NewFile[]> {
    const recent = new Set<string>()
    const describing = [...others].filter((path) => mayDescribe(path))
    // A copy may have the time of what it is of; when it came is another one.
    for await (const { path, found } of this.stats(describing))
      if (found && Math.max(found.mtimeMs, found.ctimeMs) >= time) recent.add(path)
    if (recent.size === 0) return []
    return this.unchanged.filter(({ path }) => namesBeside(path).some((name) => recent.has(name)))
  }

  private isUnchanged(file: NewFile): boolean {
    const before = this.known.get(file.path)
    return isSame(file, before) && !this.lost.has(before!.content)
  }

  /** In the order of the paths. */
  private async *stats(paths: readonly string[]) {
    for (let i = 0; i < paths.length; i += statsAtOnce) {
      this.signal?.throwIfAborted()
      const some = paths.slice(i, i + statsAtOnce)
      const found = await Promise.all(some.map((path) => statOrUnknown(join(this.part.path, path))))
      for (const [j, path] of some.entries()) yield { path, found: found[j]! }
    }
  }
}

type FoundStats = Pick<Stats, "size" | "mtimeMs" | "ctimeMs">

/** Null where it was removed since the walk. What cannot be looked at now is read, which tells the reason. */
function statOrUnknown(path: string): Promise<FoundStats | null> {
  return stat(path).catch((error: unknown) => {
    return isMissing(error) && !isUnnameable(path) ? null : { size: 0, mtimeMs: 0, ctimeMs: 0 }
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
  const ids = [...known.values()].map(({ id }) => id)
  const note = `${folder} is not there: its ${counted(ids.length, "file is", "files are")} kept; ${pruneText}`
  return {
    ...{ files: [], described: [], unchanged: 0, kept: prune ? [] : ids, failedBefore: 0 },
    ...{
      gone: prune ? ids : [],
      goneFailures: [],
      others: new Set<string>(),
      walked: null,
      notes: prune ? [] : [note],
    },
  }
}

const pruneText = "--prune removes them where it is gone for good"

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
function wantedIn(store: IndexStore, { path: root }: IndexedPart): (path: string) => boolean {
  const excluded = new Set([store.folder, ...store.rows("SELECT path FROM excluded").map(({ path }) => path as string)])
  return (path) => {
    const whole = join(root, path)
    for (let end = whole.length; end > 0; end = whole.lastIndexOf(sep, end - 1))
      if (excluded.has(whole.slice(0, end))) return false
    return true
  }
}
