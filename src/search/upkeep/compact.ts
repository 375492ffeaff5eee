/**
 * An index without what no file has any more: rows of vectors are copied into a new generation, and one transaction renumbers
 * contents and switches to it. Stopped or killed before its end, the index is as it was; after, as it is to be.
 */
import { statSync } from "node:fs"
import { join } from "node:path"
import { UserError } from "../../core/errors.ts"
import { noProgress, type Progress, type StartProgress } from "../../core/progress.ts"
import { commandLine } from "../../core/shell-quote.ts"
import { renameBackground } from "../calibrate/make-background.ts"
import { removeStrayThumbnails } from "../indexing/thumbnails.ts"
import { openScanner } from "../scan/scanner.ts"
import { databaseFile, type Generation, type IndexStore, requireIndex } from "../store/index-store.ts"
import { IndexWriter } from "../store/index-writer.ts"
import { requireVectorsOf, vectorOffset } from "../store/vector-file.ts"
import { restoreCodes } from "./codes.ts"

export interface CompactOptions {
  /** Between some thousands of rows: until the switch, the index is as it was. */
  readonly signal?: AbortSignal | undefined
  readonly startProgress?: StartProgress | undefined
}

export interface CompactResult {
  readonly removed: number
  readonly pictures: number
  /** Bytes of vectors and database. */
  readonly before: number
  readonly after: number
}

const rowsAtOnce = 4096
/** The database is written anew where so much of it is unused. */
const unusedShare = 0.1

/** @throws UserError where a migration has begun, vectors are in LanceDB, or the index is in use; the signal's reason before the switch */
export async function compactIndex(folder: string, options: CompactOptions = {}): Promise<CompactResult> {
  requireIndex(folder)
  using writer = await IndexWriter.open(folder, "mobileclip index compact", options.signal)
  const { store } = writer
  const old = store.active()
  requireAlone(store, old)
  const before = bytesOf(store, old)
  const kept = store.rows("SELECT id FROM contents WHERE copies > 0 ORDER BY id").map(({ id }) => Number(id) - 1)
  const removed = store.count - kept.length
  let now = old
  if (removed > 0) {
    now = { ...old, id: writer.nextGeneration(), created: new Date().toISOString() }
    await copyKept(writer, old, now, kept, options)
    await switchTo(writer, old, now, kept, options)
    await writer.files.remove(old.id)
    await restoreCodes(store, now, options)
  }
  removeStrayThumbnails(store)
  vacuum(store)
  return { removed, pictures: kept.length, before, after: bytesOf(store, now) }
}

function requireAlone(store: IndexStore, { settings }: Generation): void {
  if (settings.store !== "file") {
    throw new UserError(
      "the index keeps its vectors in LanceDB, whose rows keep their numbers",
      "index the pictures again into a new folder",
    )
  }
  const building = store.generations().find(({ state }) => state === "building")
  if (!building) return
  const migrate = ["mobileclip", "index", "migrate", "--index", store.folder]
  throw new UserError(
    `a migration to ${building.model} (${building.source}) has begun, whose rows are those of the index as it is`,
    `finish it first: ${commandLine([...migrate, "--model", building.source])}, or give it up: ${commandLine([...migrate, "--cancel"])}`,
  )
}

async function copyKept(
  writer: IndexWriter,
  old: Generation,
  now: Generation,
  kept: readonly number[],
  { signal, startProgress = noProgress }: CompactOptions,
): Promise<void> {
  requireVectorsOf(writer.store.vectorsPath(old), old)
  using vectors = writer.files.create(now)
  const scanner = openScanner(writer.store.vectorsPath(old), { dim: old.dim, offset: vectorOffset })
  const progress = startProgress("copying vectors", kept.length, { unit: "vectors" })
  try {
    for (let first = 0; first < kept.length; first += rowsAtOnce) {
      signal?.throwIfAborted()
      const rows = Uint32Array.from(kept.slice(first, first + rowsAtOnce))
      vectors.write(first, await scanner.read(rows))
      progress.update(first + rows.length)
    }
    signal?.throwIfAborted()
  } catch (error) {
    await writer.files.remove(now.id)
    throw error
  } finally {
    scanner.close()
    progress.done()
  }
}

async function switchTo(
  writer: IndexWriter,
  old: Generation,
  now: Generation,
  kept: readonly number[],
  { signal, startProgress = noProgress }: CompactOptions,
): Promise<void> {
  const progress = startProgress("renumbering", 2 * kept.length, { unit: "rows" })
  let isToCommit = false
  function* work(): Generator<void, void> {
    yield* switching(writer, old, now, kept, progress)
    isToCommit = true
  }
  try {
    await writer.store.writingInTurns(work(), signal)
  } catch (error) {
    // What a commit that failed has on the disk, the next writer knows, and removes one of the two files.
    if (!isToCommit) await writer.files.remove(now.id)
    throw error
  } finally {
    progress.done()
  }
}

/** Within a transaction; yields where it may be stopped. */
function* switching(
  writer: IndexWriter,
  old: Generation,
  now: Generation,
  kept: readonly number[],
  progress: Progress,
): Generator<void, void> {
  const { store } = writer
  store.db.exec("PRAGMA defer_foreign_keys = 1")
  yield* removeGone(store)
  yield* renumber(store, kept, progress)
  writer.insertGeneration(now)
  renameBackground(store, old, now)
  store.run("DELETE FROM generations WHERE id = ?", old.id)
  writer.setMeta("count", String(kept.length))
}

function* removeGone(store: IndexStore): Generator<void, void> {
  while (store.row("SELECT id FROM contents WHERE copies = 0 LIMIT 1")) {
    store.run("DELETE FROM contents WHERE id IN (SELECT id FROM contents WHERE copies = 0 LIMIT ?)", rowsAtOnce)
    yield
  }
}

/**
 * Contents get the numbers 1 to N in their order, and then their files. The lowest goes first: its number is free by then, because
 * none grows. Triggers count what has another number already, so that copies are counted again when all files up to them have moved.
 */
function* renumber(store: IndexStore, kept: readonly number[], progress: Progress): Generator<void, void> {
  for (const [first, end] of movedParts(kept)) {
    for (let i = first; i < end; i++) store.run("UPDATE contents SET id = ? WHERE id = ?", i + 1, kept[i]! + 1)
    progress.update(end)
    yield
  }
  for (const [first, end] of movedParts(kept)) {
    for (let i = first; i < end; i++) store.run("UPDATE files SET content = ? WHERE content = ?", i + 1, kept[i]! + 1)
    store.run(`${countCopies} WHERE id BETWEEN ? AND ?`, first + 1, end)
    progress.update(kept.length + end)
    yield
  }
}

const countCopies = "UPDATE contents SET copies = (SELECT count(*) FROM files WHERE content = contents.id)"

/** First and end of those that get another number, some at a time. */
function* movedParts(kept: readonly number[]): Generator<readonly [number, number]> {
  const moved = kept.findIndex((row, i) => row !== i)
  for (let first = moved; first >= 0 && first < kept.length; first += rowsAtOnce)
    yield [first, Math.min(first + rowsAtOnce, kept.length)]
}

function vacuum({ db }: IndexStore): void {
  const pragma = (name: string) => Number(Object.values(db.prepare(`PRAGMA ${name}`).get() as object)[0])
  if (pragma("freelist_count") > unusedShare * pragma("page_count")) db.exec("VACUUM")
  db.exec("PRAGMA wal_checkpoint(TRUNCATE)")
}

function bytesOf(store: IndexStore, generation: Generation): number {
  const size = (path: string) => statSync(path, { throwIfNoEntry: false })?.size ?? 0
  const database = join(store.folder, databaseFile)
  return [store.vectorsPath(generation), database, `${database}-wal`].reduce((sum, path) => sum + size(path), 0)
}
