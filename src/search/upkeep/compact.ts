/**
 * An index without what no file has any more: rows of vectors are copied into a new generation, and one transaction renumbers
 * contents and switches to it. Killed before, the index is as it was; after, as it is to be.
 */
import { statSync } from "node:fs"
import { join } from "node:path"
import { UserError } from "../../core/errors.ts"
import { noProgress, type StartProgress } from "../../core/progress.ts"
import { commandLine } from "../../core/shell-quote.ts"
import { renameBackground } from "../calibrate/make-background.ts"
import { removeStrayThumbnails } from "../indexing/thumbnails.ts"
import { openScanner } from "../scan/scanner.ts"
import { databaseFile, type Generation, type IndexStore, requireIndex } from "../store/index-store.ts"
import { IndexWriter } from "../store/index-writer.ts"
import { requireVectorsOf, vectorOffset } from "../store/vector-file.ts"
import { restoreCodes } from "./codes.ts"

export interface CompactOptions {
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
    store.writing(() => switchTo(writer, old, now, kept.length))
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

/** Within a transaction. */
function switchTo(writer: IndexWriter, old: Generation, now: Generation, count: number): void {
  const { store } = writer
  store.db.exec("PRAGMA defer_foreign_keys = 1")
  renumber(store)
  writer.insertGeneration(now)
  renameBackground(store, old, now)
  store.run("DELETE FROM generations WHERE id = ?", old.id)
  writer.setMeta("count", String(count))
}

/** Contents get the numbers 1 to N in their order; through negative ones, so that no two are equal on the way. */
function renumber({ db }: IndexStore): void {
  db.exec(`
    DELETE FROM contents WHERE copies = 0;
    CREATE TEMP TABLE renumbered (old INTEGER PRIMARY KEY, new INTEGER NOT NULL);
    INSERT INTO renumbered SELECT id, row_number() OVER (ORDER BY id) FROM contents;
    DELETE FROM renumbered WHERE old = new;
    UPDATE contents SET id = -(SELECT new FROM renumbered WHERE old = id) WHERE id IN (SELECT old FROM renumbered);
    UPDATE contents SET id = -id WHERE id < 0;
    UPDATE files SET content = (SELECT new FROM renumbered WHERE old = content)
      WHERE content IN (SELECT old FROM renumbered);
    -- The triggers counted on the way.
    UPDATE contents SET copies = (SELECT count(*) FROM files WHERE content = contents.id);
    DROP TABLE renumbered;
  `)
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
