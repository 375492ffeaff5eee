/**
 * Forgets files: their rows, words and what was read from them, and the vectors of pictures that no other file has. They are not
 * indexed again, unless that is asked for.
 */
import { randomBytes } from "node:crypto"
import { existsSync } from "node:fs"
import { basename, dirname, join, resolve } from "node:path"
import { UserError } from "../../core/errors.ts"
import { nearestNames } from "../../core/nearest.ts"
import { noProgress, type Progress, type StartProgress } from "../../core/progress.ts"
import { nextTurn } from "../../core/turns.ts"
import { updateBackgroundPictures } from "../calibrate/make-background.ts"
import { isWithin } from "../indexing/roots.ts"
import { removeStrayThumbnails } from "../indexing/thumbnails.ts"
import { followIndex } from "../lance/index-table.ts"
import { indexCommand } from "../store/index-command.ts"
import { IndexStore, requireIndex } from "../store/index-store.ts"
import { IndexWriter } from "../store/index-writer.ts"
import { rowsInFile } from "../store/vector-file.ts"
import { restoreCodes } from "./codes.ts"

export interface ForgetOptions {
  /** The next run may index them again. */
  readonly once?: boolean | undefined
  /** Between some thousands of files: what was forgotten until then is, and the same call goes on. */
  readonly signal?: AbortSignal | undefined
  readonly startProgress?: StartProgress | undefined
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
 * @throws UserError where the index does not know one of them, nor has it forgotten it: then nothing is; the signal's reason
 */
export async function forgetPaths(
  folder: string,
  paths: readonly string[],
  { once = false, signal, startProgress = noProgress }: ForgetOptions = {},
): Promise<ForgetResult> {
  requireIndex(folder)
  using writer = await IndexWriter.open(folder, "mobileclip index forget", signal)
  const targets = [...new Set(paths.map((path) => resolve(path)))]
  const files = filesWithin(writer.store, targets)
  const pictures = orphans(writer.store, files)
  const progress = startProgress("forgetting", pictures.length + files.length, { unit: "rows" })
  // Vectors first: a run that was killed between is completed by the same command.
  await eraseVectors(writer, pictures, progress, signal)
  await eraseRows(writer, files, new Set(pictures), once ? [] : targets, {
    onDone: (done) => progress.update(pictures.length + done),
    signal,
  })
  progress.done()
  // Without files, a run that was stopped may have left them.
  if (pictures.length > 0 || files.length === 0) await eraseDerived(writer)
  eraseTraces(writer)
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
  for (const path of targets) if (!excluded.includes(path)) throw unknown(path, excluded, "was not forgotten", folder)
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

/** Sorted by their contents. */
function filesWithin(store: IndexStore, targets: readonly string[]): KnownFile[] {
  const [known, excluded] = [knownFiles(store), excludedIn(store)]
  const found = new Set<KnownFile>()
  for (const target of targets) {
    const within = known.filter(({ path }) => isWithin(path, target))
    if (within.length === 0 && !excluded.some((path) => isWithin(target, path)))
      throw unknown(
        target,
        known.map(({ path }) => path),
        "is not in the index",
        store.folder,
      )
    for (const file of within) found.add(file)
  }
  return [...found].sort((a, b) => (a.file?.content ?? 0) - (b.file?.content ?? 0))
}

/** Names are compared with so many at most. */
const mostCompared = 20_000

/** What is proposed is near: a person may give it to a command that forgets. */
function unknown(path: string, names: readonly string[], what: string, index: string): UserError {
  const isNear = (name: string) => dirname(name) === dirname(path) || basename(name) === basename(path)
  const near = nearestNames(path, names.filter(isNear).slice(0, mostCompared), 1)
  return new UserError(
    `${path} ${what}; nothing was changed`,
    near.length > 0 ? `did you mean ${near[0]}?` : `${indexCommand(index, "status")} tells what it has`,
  )
}

/** Contents that lose their last file. */
function orphans(store: IndexStore, files: readonly KnownFile[]): number[] {
  const going = new Map<number, number>()
  for (const { file } of files) if (file) going.set(file.content, (going.get(file.content) ?? 0) + 1)
  const copies = (id: number) => Number(store.row("SELECT copies FROM contents WHERE id = ?", id)?.copies)
  return [...going]
    .filter(([id, count]) => copies(id) <= count)
    .map(([id]) => id)
    .sort((a, b) => a - b)
}

/** Rows of vectors, and files, between which a run may be stopped. */
const atOnce = 4096

async function eraseVectors(
  writer: IndexWriter,
  pictures: readonly number[],
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { store } = writer
  if (pictures.length === 0) return
  // A migration that was killed at its begin has no file yet.
  for (const generation of store.generations().filter((each) => existsSync(store.vectorsPath(each)))) {
    const rows = generation.state === "active" ? store.count : rowsInFile(store.vectorsPath(generation), generation.dim)
    for (let first = 0; first < pictures.length; first += atOnce) {
      await pause(signal)
      const some = pictures.slice(first, first + atOnce).filter((id) => id <= rows)
      writer.eraseVectors(
        generation,
        some.map((id) => id - 1),
      )
      if (generation.state === "active") progress.update(first + some.length)
    }
    writer.files.vectorsOf(generation).sync()
  }
}

/** A signal comes in a turn of its own. */
async function pause(signal: AbortSignal | undefined): Promise<void> {
  await nextTurn()
  signal?.throwIfAborted()
}

interface Steps {
  readonly onDone: (files: number) => void
  readonly signal: AbortSignal | undefined
}

async function eraseRows(
  writer: IndexWriter,
  files: readonly KnownFile[],
  pictures: ReadonlySet<number>,
  excluded: readonly string[],
  { onDone, signal }: Steps,
): Promise<void> {
  const { store } = writer
  store.db.exec("PRAGMA secure_delete = 1")
  // First: what is gone is not to come back with a run of `index` between.
  store.writing(() => {
    for (const path of excluded) store.run("INSERT OR IGNORE INTO excluded VALUES (?)", path)
  })
  for (let first = 0; first < files.length; first += atOnce) {
    await pause(signal)
    const some = files.slice(first, first + atOnce)
    store.writing(() => eraseFiles(writer, some, pictures))
    onDone(first + some.length)
  }
}

/** Within a transaction. */
function eraseFiles(writer: IndexWriter, files: readonly KnownFile[], pictures: ReadonlySet<number>): void {
  const { store } = writer
  for (const { file, root, below } of files) {
    if (!file) store.run("DELETE FROM failures WHERE root = ? AND path = ?", root, below)
    else {
      writer.removeFile(file.id)
      // With the hash of its bytes it would be taken for known when it comes back, and have no vector.
      if (pictures.has(file.content)) store.run(blank, randomBytes(32), file.content)
    }
  }
}

const blank = `UPDATE contents SET hash = ?, bytes = 0, format = '', width = 0, height = 0, orientation = 1, taken = NULL,
  camera = NULL, lens = NULL, latitude = NULL, longitude = NULL, caption = NULL, keywords = NULL, sharpness = NULL WHERE id = ?`

/** What is made of vectors. */
async function eraseDerived(writer: IndexWriter): Promise<void> {
  const { store, active } = writer
  if (!active) return
  await updateBackgroundPictures(writer, active)
  await restoreCodes(store, active)
  if (active.settings.store !== "file")
    await followIndex(active.settings.store.lancedb, store, active, { erases: true })
}

/** Thumbnails, words, and what the database's log still has. */
function eraseTraces({ store }: IndexWriter): void {
  removeStrayThumbnails(store)
  store.run("INSERT INTO words (words) VALUES ('optimize')")
  store.db.exec("PRAGMA wal_checkpoint(TRUNCATE)")
}
