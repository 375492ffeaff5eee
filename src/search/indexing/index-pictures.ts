/**
 * Folders of pictures into an index: what changed in them is read once and goes through the intake, and what is gone leaves after
 * the walk.
 */
import { existsSync, readdirSync } from "node:fs"
import { basename, dirname, join, relative, resolve } from "node:path"
import { asUserError, EnvironmentError, UserError } from "../../core/errors.ts"
import type { IndexSettings, IndexStore } from "../store/index-store.ts"
import { IndexWriter } from "../store/index-writer.ts"
import { type NewFile, removeFile } from "../store/picture-rows.ts"
import { isAway, isMissing } from "./away-folders.ts"
import { type ChangeOptions, type FolderChanges, folderChanges, isUnnameable } from "./changes.ts"
import { generationOf, IndexModel, type IndexModelOptions } from "./index-model.ts"
import { keepPatterns } from "./left-out.ts"
import { type IntakeOptions, PictureIntake } from "./picture-intake.ts"
import { bytesToKeep, readAhead, readPictureFile } from "./read-ahead.ts"
import { contentDetails, contentHash, type FailedFile, type FoundFile } from "./read-picture.ts"
import { allRoots, type IndexedPart, partsOf, requireFolders } from "./roots.ts"

export interface IndexOptions extends IndexModelOptions, ChangeOptions, Omit<IntakeOptions, "onChoice"> {
  /** How pictures of a new index are read (default: turned as their cameras noted, exact). */
  readonly settings?: Partial<IndexSettings> | undefined
}

export interface IndexSummary {
  /** Pictures that were encoded: bytes that the index did not have. */
  readonly encoded: number
  /** Files whose bytes it had: copies, and files that were renamed or moved. */
  readonly known: number
  readonly unchanged: number
  /** Files that could not be looked for, because their folders are away: a drive that is not mounted, say. */
  readonly kept: number
  /** Unchanged pictures of which a file beside them says something else now. */
  readonly described: number
  readonly removed: number
  /** Files that are not pictures, or cannot be read as they are: kept with the reason. */
  readonly failed: number
  /** Files that failed in an earlier run and did not change: they were not tried. */
  readonly failedBefore: number
  /** Files that the machine could not read now, as a disk that fails: the next run tries again. */
  readonly unread: number
  readonly seconds: number
  /** In the index now. */
  readonly pictures: number
  readonly files: number
}

/**
 * @param folder of the index, which is made where there is none
 * @param folders of pictures; none: all that the index has
 * @throws UserError where the index is in use, damaged or of another model, a folder cannot be read, or there is nothing to index;
 *   EnvironmentError where the disk is full or a folder goes away; the signal's reason. What was committed stays.
 */
export async function indexPictures(
  folder: string,
  folders: readonly string[],
  options: IndexOptions = {},
): Promise<IndexSummary> {
  const began = performance.now()
  requireFolders(folder, folders)
  await using model = IndexModel.of(folder, options)
  const description = await model.description()
  using writer = await IndexWriter.open(folder, "mobileclip index", options.signal)
  const { store } = writer
  const generation = generationOf(writer, description)
  writer.files.requireComplete(generation)
  const lost = store.withoutVector(generation)
  const parts = folders.length > 0 ? partsOf(store, folders) : allRoots(store)
  const named = folders.length > 0 ? folders.map((each) => resolve(each)) : parts.map(({ path }) => path)
  if (options.exclude) for (const path of named) keepPatterns(writer, path, options.exclude)
  const found = await changesIn(store, parts, lost, options)
  const intake = new PictureIntake(writer, generation, lost, () => model.encoder(), options)
  const files = found.flatMap(changedFiles)
  await intake.add(
    readAhead(
      files,
      ({ file }) => file.size,
      (each) => read(each, intake),
    ),
    "indexing",
    files.length,
  )
  const removed = removeGone(store, found, intake.counts.unread === 0) + removeMoved(store, found)
  await intake.finish(removed)
  const { imported: _, ...counts } = intake.counts
  return { ...counts, removed, ...countsOf(found), ...sizeOf(store), seconds: (performance.now() - began) / 1000 }
}

/** Files that could not be read are tried once more: after a decoder was installed, or a drive came back. */
export function retryFailures(folder: string, options: Omit<IndexOptions, "retry"> = {}): Promise<IndexSummary> {
  return indexPictures(folder, [], { ...options, retry: true })
}

interface Found {
  readonly part: IndexedPart
  readonly changes: FolderChanges
}

async function changesIn(
  store: IndexStore,
  parts: readonly IndexedPart[],
  lost: ReadonlySet<number>,
  options: IndexOptions,
): Promise<Found[]> {
  const found: Found[] = []
  for (const part of parts) {
    const changes = await folderChanges(store, part, lost, options)
    for (const note of changes.notes) options.onNote?.(note)
    found.push({ part, changes })
  }
  return found
}

function countsOf(found: readonly Found[]) {
  const sum = (count: (changes: FolderChanges) => number) =>
    found.reduce((total, { changes }) => total + count(changes), 0)
  return {
    unchanged: sum(({ unchanged }) => unchanged),
    failedBefore: sum(({ failedBefore }) => failedBefore),
    kept: sum(({ kept }) => kept.length),
  }
}

function sizeOf(store: IndexStore) {
  const count = (sql: string) => Number(store.row(sql)!.count)
  return {
    pictures: count("SELECT count(*) AS count FROM contents WHERE copies > 0"),
    files: count("SELECT count(*) AS count FROM files"),
  }
}

interface ChangedFile extends Found {
  readonly file: NewFile
  readonly isDescribedAgain: boolean
}

function changedFiles({ part, changes }: Found): ChangedFile[] {
  return [
    ...changes.files.map((file) => ({ part, changes, file, isDescribedAgain: false })),
    ...changes.described.map((file) => ({ part, changes, file, isDescribedAgain: true })),
  ]
}

/** Null: it was removed since the walk, and the next run sees that it is gone. */
async function read(
  { part, changes, file, isDescribedAgain }: ChangedFile,
  intake: PictureIntake,
): Promise<FoundFile | FailedFile | null> {
  const name = join(part.path, file.path)
  try {
    const bytes = await readPictureFile(name)
    const hash = contentHash(bytes)
    const isThere = (path: string) => changes.others.has(relative(part.path, path))
    const isWanted = isDescribedAgain || !intake.has(hash)
    const content = isWanted ? await contentDetails(bytes, name, hash, isThere) : null
    return { name, file, hash, bytes: bytesToKeep(bytes), content, isDescribedAgain, vector: null }
  } catch (error) {
    requireFolder(join(part.path, part.below))
    const known = asUserError(error)
    if (isUnnameable(name)) return { name, file, error: unnameable(name) }
    if (!isMissing(known.cause)) return { name, file, error: known }
    return isAway(part.path, file.path) ? { name, file, error: wentAway(name) } : null
  }
}

function wentAway(path: string): EnvironmentError {
  return new EnvironmentError(`${path} went away with its folder while it was indexed`)
}

/** Throws EnvironmentError where it went away: its files are not damaged. */
function requireFolder(folder: string): void {
  if (existsSync(folder)) return
  const hint = "what was encoded is kept; run again when the folder is there"
  throw new EnvironmentError(`${folder} went away while it was indexed`, hint)
}

/** With the bytes of the name, by which it is found to be renamed. */
function unnameable(path: string): UserError {
  const names = readdirSync(dirname(path), { encoding: "buffer" }).filter((name) => name.toString() === basename(path))
  const escaped = names.map((name) =>
    name.toString("latin1").replaceAll(/[^ -~]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, "0")}`),
  )
  return new UserError(`${path}: its name is not UTF-8 (${escaped.join(", ")}); rename it`)
}

/** The number of files. @param isWhole whether all files could be read */
function removeGone(store: IndexStore, found: readonly Found[], isWhole: boolean): number {
  store.writing(() => {
    for (const { part, changes } of found) {
      for (const id of changes.gone) removeFile(store, id)
      for (const path of changes.goneFailures)
        store.run("DELETE FROM failures WHERE root = ? AND path = ?", part.root, path)
      if (isWhole && part.below === "" && changes.walked !== null)
        store.run("UPDATE roots SET walked = ? WHERE id = ?", changes.walked, part.root)
    }
  })
  return found.reduce((sum, { changes }) => sum + changes.gone.length, 0)
}

/** Files whose folders are away, as far as their bytes are elsewhere now: the folder was moved. The number of files. */
function removeMoved(store: IndexStore, found: readonly Found[]): number {
  const gone = allRoots(store).filter(({ path }) => !existsSync(path))
  const kept = found.flatMap(({ changes }) => changes.kept)
  if (gone.length === 0 && kept.length === 0) return 0
  const roots = gone.map(({ root }) => root).join(", ")
  return store.writing(() => {
    store.db.exec(`CREATE TEMP TABLE away AS SELECT id FROM files WHERE root IN (${roots})`)
    for (const id of kept) store.run("INSERT INTO away VALUES (?)", id)
    const moved = store.rows(
      `SELECT id FROM files WHERE id IN away AND EXISTS (
         SELECT 1 FROM files AS others WHERE others.content = files.content AND others.id NOT IN away)`,
    )
    for (const { id } of moved) removeFile(store, Number(id))
    store.db.exec(`DROP TABLE away;
      DELETE FROM roots WHERE id IN (${roots}) AND id NOT IN (SELECT root FROM files)
       AND id NOT IN (SELECT root FROM failures)`)
    return moved.length
  })
}
