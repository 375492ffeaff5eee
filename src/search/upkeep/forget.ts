/**
 * Forgets files: their rows, words and what was read from them, and the vectors of pictures that no other file has. They are not
 * indexed again, unless that is asked for.
 */
import { randomBytes } from "node:crypto"
import { join, resolve } from "node:path"
import { UserError } from "../../core/errors.ts"
import { nearestNames } from "../../core/nearest.ts"
import { updateBackgroundPictures } from "../calibrate/make-background.ts"
import { isWithin } from "../indexing/roots.ts"
import { removeStrayThumbnails } from "../indexing/thumbnails.ts"
import { followIndex } from "../lance/index-table.ts"
import { IndexStore, requireIndex } from "../store/index-store.ts"
import { IndexWriter } from "../store/index-writer.ts"
import { rowsInFile } from "../store/vector-file.ts"
import { restoreCodes } from "./codes.ts"

export interface ForgetOptions {
  /** The next run may index them again. */
  readonly once?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

export interface ForgetResult {
  readonly paths: readonly string[]
  readonly files: number
  /** Pictures that no other file has: their vectors are gone. */
  readonly pictures: number
  readonly excluded: boolean
}

interface KnownFile {
  readonly path: string
  readonly root: number
  readonly below: string
  /** Null: it could not be read. */
  readonly file: { readonly id: number; readonly content: number } | null
}

/**
 * @param paths files or folders, absolute or relative to the working folder; they need not exist any more
 * @throws UserError where the index does not know one of them: then nothing is forgotten
 */
export async function forgetPaths(
  folder: string,
  paths: readonly string[],
  { once = false, signal }: ForgetOptions = {},
): Promise<ForgetResult> {
  requireIndex(folder)
  using writer = await IndexWriter.open(folder, "mobileclip index forget", signal)
  const targets = [...new Set(paths.map((path) => resolve(path)))]
  const files = filesWithin(knownFiles(writer.store), targets)
  const pictures = orphans(writer.store, files)
  // Vectors first: a run that was killed between is completed by the same command.
  eraseVectors(writer, pictures)
  eraseRows(writer, files, pictures, once ? [] : targets)
  await eraseTraces(writer, pictures)
  return { paths: targets, files: files.length, pictures: pictures.length, excluded: !once }
}

/** Paths that are not indexed again. Throws UserError where there is no index. */
export function excludedPaths(folder: string): string[] {
  using store = IndexStore.open(folder)
  return excludedIn(store)
}

/** The next run indexes them again. Throws UserError where one was not forgotten: then nothing changes. */
export async function undoForget(folder: string, paths: readonly string[]): Promise<string[]> {
  requireIndex(folder)
  using writer = await IndexWriter.open(folder, "mobileclip index forget --undo")
  const excluded = excludedIn(writer.store)
  const targets = paths.map((path) => resolve(path))
  for (const path of targets) if (!excluded.includes(path)) throw unknown(path, excluded, "was not forgotten")
  writer.store.writing(() => {
    for (const path of targets) writer.store.run("DELETE FROM excluded WHERE path = ?", path)
  })
  return targets
}

function excludedIn(store: IndexStore): string[] {
  return store.rows("SELECT path FROM excluded ORDER BY path").map(({ path }) => path as string)
}

function knownFiles(store: IndexStore): KnownFile[] {
  const rows = store.rows(
    `SELECT roots.path AS folder, root, files.path AS below, files.id AS id, content FROM files JOIN roots ON roots.id = root
     UNION ALL
     SELECT roots.path, root, failures.path, NULL, NULL FROM failures JOIN roots ON roots.id = root`,
  )
  return rows.map(({ folder, root, below, id, content }) => ({
    ...{ path: join(folder as string, below as string), root: Number(root), below: below as string },
    file: id === null ? null : { id: Number(id), content: Number(content) },
  }))
}

function filesWithin(known: readonly KnownFile[], targets: readonly string[]): KnownFile[] {
  const found = new Set<KnownFile>()
  for (const target of targets) {
    const within = known.filter(({ path }) => isWithin(path, target))
    if (within.length === 0)
      throw unknown(
        target,
        known.map(({ path }) => path),
        "is not in the index",
      )
    for (const file of within) found.add(file)
  }
  return [...found]
}

/** Names are compared with so many at most. */
const mostCompared = 20_000

function unknown(path: string, names: readonly string[], what: string): UserError {
  const near = nearestNames(path, names.slice(0, mostCompared), 1)
  return new UserError(
    `${path} ${what}; nothing was changed`,
    near.length > 0 ? `did you mean ${near[0]}?` : "mobileclip index status tells what it has",
  )
}

/** Contents that lose their last file. */
function orphans(store: IndexStore, files: readonly KnownFile[]): number[] {
  const going = new Map<number, number>()
  for (const { file } of files) if (file) going.set(file.content, (going.get(file.content) ?? 0) + 1)
  const copies = (id: number) => Number(store.row("SELECT copies FROM contents WHERE id = ?", id)?.copies)
  return [...going].filter(([id, count]) => copies(id) <= count).map(([id]) => id)
}

function eraseVectors(writer: IndexWriter, pictures: readonly number[]): void {
  const { store } = writer
  for (const generation of store.generations()) {
    const rows = generation.state === "active" ? store.count : rowsInFile(store.vectorsPath(generation), generation.dim)
    const none = new Float32Array(generation.dim).fill(Number.NaN)
    for (const id of pictures) if (id <= rows) writer.setVectors(generation, id - 1, none)
  }
}

function eraseRows(
  writer: IndexWriter,
  files: readonly KnownFile[],
  pictures: readonly number[],
  excluded: readonly string[],
): void {
  const { store } = writer
  store.db.exec("PRAGMA secure_delete = 1")
  store.writing(() => {
    for (const { file, root, below } of files) {
      if (file) writer.removeFile(file.id)
      else store.run("DELETE FROM failures WHERE root = ? AND path = ?", root, below)
    }
    // With the hash of its bytes it would be taken for known when it comes back, and have no vector.
    for (const id of pictures) store.run(blank, randomBytes(32), id)
    for (const path of excluded) store.run("INSERT OR IGNORE INTO excluded VALUES (?)", path)
  })
}

const blank = `UPDATE contents SET hash = ?, bytes = 0, format = '', width = 0, height = 0, orientation = 1, taken = NULL,
  camera = NULL, lens = NULL, latitude = NULL, longitude = NULL, caption = NULL, keywords = NULL, sharpness = NULL WHERE id = ?`

/** What is derived of vectors and words, and what the database's log still has. */
async function eraseTraces(writer: IndexWriter, pictures: readonly number[]): Promise<void> {
  const { store } = writer
  removeStrayThumbnails(store)
  const active = writer.active
  if (active && pictures.length > 0) {
    await updateBackgroundPictures(writer, active)
    await restoreCodes(store, active)
    if (active.settings.store !== "file") await followIndex(active.settings.store.lancedb, store, active)
  }
  store.run("INSERT INTO words (words) VALUES ('optimize')")
  store.db.exec("PRAGMA wal_checkpoint(TRUNCATE)")
}
