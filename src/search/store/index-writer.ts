/**
 * The one process that writes an index. It appends a batch's vectors and has them on the disk, and then counts them in one
 * transaction together with their pictures and files: killed at any moment, an index has all of a batch or nothing of it.
 */
import { renameSync, rmSync, statSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { DatabaseSync } from "@photostructure/sqlite"
import { assert } from "../../core/errors.ts"
import { removeAbandonedOnce, stagingPath } from "../../host/files/staging.ts"
import { type Lock, lockFolder } from "../../host/locks/lock.ts"
import { inDatabase, requireVersion } from "./database.ts"
import { GenerationFiles } from "./generation-files.ts"
import { databaseFile, type Generation, IndexStore } from "./index-store.ts"
import {
  insertFailure,
  insertPicture,
  type NewCopy,
  type NewFailure,
  type NewPicture,
  putFile,
  removeFile,
} from "./picture-rows.ts"
import { applicationId, indexVersion, schema } from "./schema.ts"
import { syncFolder } from "./vector-file.ts"

export type NewGeneration = Pick<Generation, "model" | "source" | "identity" | "dim" | "settings">

export class IndexWriter implements Disposable {
  readonly files: GenerationFiles

  private constructor(
    readonly store: IndexStore,
    private readonly lock: Lock,
  ) {
    this.files = new GenerationFiles(store)
  }

  /**
   * Makes an index where there is none.
   *
   * @param command for the message that another process gets: "mobileclip index"
   * @throws UserError where another process writes it, it is of a newer version, damaged, or its folder cannot be written
   */
  static async open(folder: string, command: string, signal?: AbortSignal): Promise<IndexWriter> {
    const lock = await lockFolder(folder, command, signal)
    let store: IndexStore | null = null
    try {
      await removeAbandonedOnce(folder)
      store = openToWrite(resolve(folder))
      const writer = new IndexWriter(store, lock)
      await writer.files.removeUnknown()
      return writer
    } catch (error) {
      store?.[Symbol.dispose]()
      lock[Symbol.dispose]()
      throw error
    }
  }

  /** The generation that pictures are added to; null: the index is new. */
  get active(): Generation | null {
    return this.store.generations().find(({ state }) => state === "active") ?? null
  }

  /** A new generation: the active one where there is none, else one that is being built. Its rows are NaN until they are set. */
  addGeneration(values: NewGeneration): Generation {
    const { store } = this
    return store.writing(() => {
      const [id, state] = [this.nextGeneration(), this.active ? "building" : "active"] as const
      this.insertGeneration({ ...values, id, state, created: new Date().toISOString() })
      return store.generations().find((each) => each.id === id)!
    })
  }

  /** Within a transaction of the caller. */
  insertGeneration({ id, state, model, source, identity, dim, settings, created }: Generation): void {
    this.store.run(
      "INSERT INTO generations VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      ...([id, state, model, source, identity, dim, JSON.stringify(settings), created] as const),
    )
    this.setMeta("generation", String(id))
  }

  /** Numbers are never used again: a reader may have the file of an old one open. */
  nextGeneration(): number {
    return Number(this.store.meta("generation") ?? "0") + 1
  }

  /**
   * In one transaction: contents that the index does not have, with their vectors by `generation`; files that could not be read;
   * and further files of contents that are there.
   */
  addPictures(
    generation: Generation,
    pictures: readonly NewPicture[],
    failures: readonly NewFailure[] = [],
    copies: readonly NewCopy[] = [],
  ): void {
    const { store } = this
    const first = store.count
    const rows = new Float32Array(pictures.length * generation.dim).fill(Number.NaN)
    for (const [i, { vector }] of pictures.entries()) if (vector) rows.set(vector, i * generation.dim)
    if (pictures.length > 0) this.files.vectorsOf(generation).write(first, rows)
    store.writing(() => {
      for (const [i, picture] of pictures.entries()) insertPicture(store, first + i + 1, picture)
      for (const failure of failures) insertFailure(store, failure)
      for (const copy of copies) putFile(store, copy)
      this.setMeta("count", String(first + pictures.length))
    })
  }

  removeFile(id: number): void {
    removeFile(this.store, id)
  }

  /** Vectors of contents that are there, row by row from `first` on [N, dim]; NaN for what has none. */
  setVectors(generation: Generation, first: number, rows: Float32Array): void {
    assert(first + rows.length / generation.dim <= this.store.count, "rows of contents that are counted")
    this.files.vectorsOf(generation).write(first, rows)
  }

  /** Vectors of contents become NaN; on the disk after `files.vectorsOf(generation).sync()`. @param rows in their order */
  eraseVectors(generation: Generation, rows: readonly number[]): void {
    this.files.vectorsOf(generation).erase(rows)
  }

  setMeta(key: string, value: string): void {
    this.store.run("INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2", key, value)
  }

  /**
   * The generation answers from now on; the others go, and so do their files, which readers keep open while they need them.
   *
   * @param also what changes in the same transaction
   */
  async activate(generation: Generation, also: () => void = () => {}): Promise<void> {
    const others = this.store.generations().filter(({ id }) => id !== generation.id)
    await this.removeGenerations(others, () => {
      this.store.run("UPDATE generations SET state = 'active' WHERE id = ?", generation.id)
      also()
    })
  }

  /** Ends a generation that was being built. */
  async discard(generation: Generation): Promise<void> {
    assert(generation.state === "building", "the active generation stays")
    await this.removeGenerations([generation])
  }

  [Symbol.dispose](): void {
    this.files[Symbol.dispose]()
    this.emptyLog()
    this.store[Symbol.dispose]()
    this.lock[Symbol.dispose]()
  }

  /** @param within the same transaction */
  private async removeGenerations(generations: readonly Generation[], within?: () => void): Promise<void> {
    this.store.writing(() => {
      for (const { id } of generations) this.store.run("DELETE FROM background WHERE generation = ?", id)
      for (const { id } of generations) this.store.run("DELETE FROM generations WHERE id = ?", id)
      within?.()
    })
    for (const { id } of generations) await this.files.remove(id)
  }

  /** The log goes when its last reader closes the database, which may be much later: without content it hinders nobody. */
  private emptyLog(): void {
    try {
      // A reader may be busy for minutes, as an export is.
      this.store.db.exec("PRAGMA busy_timeout = 500; PRAGMA wal_checkpoint(TRUNCATE)")
    } catch {
      // A full disk, or a reader that is busy: what is in the log counts all the same.
    }
  }
}

function openToWrite(folder: string): IndexStore {
  const path = join(folder, databaseFile)
  return inDatabase(path, () => {
    if (statSync(path, { throwIfNoEntry: false }) === undefined) makeDatabase(path)
    const db = new DatabaseSync(path)
    try {
      requireVersion(db, path)
      // What a transaction says is on the disk before files are removed that it does without.
      db.exec(`PRAGMA busy_timeout = 10000; PRAGMA foreign_keys = 1;
        PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL`)
      return new IndexStore(folder, db)
    } catch (error) {
      db.close()
      throw error
    }
  })
}

/** All tables and the version, or no file: it takes its name when it is complete. */
function makeDatabase(path: string): void {
  const temporary = stagingPath(path)
  try {
    const db = new DatabaseSync(temporary)
    try {
      db.exec(`BEGIN IMMEDIATE; ${schema}
        PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${indexVersion}; COMMIT;
        PRAGMA journal_mode = WAL`)
    } finally {
      db.close()
    }
    renameSync(temporary, path)
    syncFolder(dirname(path))
  } catch (error) {
    rmSync(temporary, { force: true })
    rmSync(`${temporary}-journal`, { force: true })
    throw error
  }
}
