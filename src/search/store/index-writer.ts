/**
 * The one process that writes an index. It appends a batch's vectors and has them on the disk, and then counts them in one
 * transaction together with their pictures and files: killed at any moment, an index has all of a batch or nothing of it.
 */
import { existsSync } from "node:fs"
import { readdir, rm } from "node:fs/promises"
import { join, resolve } from "node:path"
import { DatabaseSync, type DatabaseSyncInstance } from "@photostructure/sqlite"
import { assert, UserError } from "../../core/errors.ts"
import { type Lock, lockFolder } from "../../host/locks/lock.ts"
import { databaseFile, type Generation, IndexStore, inDatabase, requireVersion } from "./index-store.ts"
import { applicationId, indexVersion, schema } from "./schema.ts"
import { repairHint, rowsInFile, VectorWriter } from "./vector-file.ts"

export type NewGeneration = Pick<Generation, "model" | "source" | "identity" | "dim" | "settings">

/** What is known of a picture's bytes. */
export interface ContentDetails {
  /** SHA-256. */
  readonly hash: Uint8Array
  readonly bytes: number
  readonly format: string
  /** In pixels, as it is seen. */
  readonly width: number
  readonly height: number
  /** EXIF, 1 to 8. */
  readonly orientation: number
  /** Local time of the camera, "2023-07-14T18:02:11". */
  readonly taken: string | null
  readonly camera: string | null
  readonly lens: string | null
  readonly latitude: number | null
  readonly longitude: number | null
  readonly caption: string | null
  readonly keywords: readonly string[]
  readonly sharpness: number | null
}

export interface NewFile {
  readonly root: number
  /** Below its root. */
  readonly path: string
  readonly size: number
  /** Milliseconds. */
  readonly mtime: number
}

export interface NewPicture {
  readonly content: ContentDetails
  /** A unit vector [dim]; null: none yet, which is a row of NaN. */
  readonly vector: Float32Array | null
  readonly files: readonly NewFile[]
}

export interface NewFailure extends NewFile {
  readonly reason: string
}

export class IndexWriter implements Disposable {
  private readonly vectors = new Map<number, VectorWriter>()

  private constructor(
    readonly store: IndexStore,
    private readonly lock: Lock,
  ) {}

  /**
   * Makes an index where there is none.
   *
   * @param command for the message that another process gets: "mobileclip index"
   * @throws UserError where another process writes it, it is of a newer version, damaged, or its folder cannot be written
   */
  static async open(folder: string, command: string, signal?: AbortSignal): Promise<IndexWriter> {
    const lock = await lockFolder(folder, command, signal)
    try {
      const writer = new IndexWriter(openToWrite(resolve(folder)), lock)
      await writer.removeUnknown()
      return writer
    } catch (error) {
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
      const { model, source, identity, dim, settings } = values
      store.run(
        "INSERT INTO generations VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        ...([id, state, model, source, identity, dim, JSON.stringify(settings), new Date().toISOString()] as const),
      )
      this.setMeta("generation", String(id))
      return store.generations().find((each) => each.id === id)!
    })
  }

  /** Numbers are never used again: a reader may have the file of an old one open. */
  nextGeneration(): number {
    return Number(this.store.meta("generation") ?? "0") + 1
  }

  /** Adds contents that the index does not have, with their vectors by `generation`, in one transaction. */
  addPictures(generation: Generation, pictures: readonly NewPicture[], failures: readonly NewFailure[] = []): void {
    const { store } = this
    const first = store.count
    const rows = new Float32Array(pictures.length * generation.dim).fill(Number.NaN)
    for (const [i, { vector }] of pictures.entries()) if (vector) rows.set(vector, i * generation.dim)
    if (pictures.length > 0) this.vectorsOf(generation).write(first, rows)
    store.writing(() => {
      for (const [i, picture] of pictures.entries()) this.insertPicture(first + i + 1, picture)
      for (const failure of failures) this.insertFailure(failure)
      this.setMeta("count", String(first + pictures.length))
    })
  }

  /** Another file of a content that is there. Within a transaction of the caller, or alone. */
  putFile(file: NewFile, content: number): void {
    const { store } = this
    const before = store.row("SELECT id FROM files WHERE root = ? AND path = ?", file.root, file.path)
    if (before) this.removeFile(Number(before.id))
    store.run(
      "INSERT INTO files (root, path, size, mtime, content) VALUES (?, ?, ?, ?, ?)",
      ...([file.root, file.path, file.size, file.mtime, content] as const),
    )
    store.run("DELETE FROM failures WHERE root = ? AND path = ?", file.root, file.path)
    store.run(`${insertWords} WHERE root = ? AND files.path = ?`, file.root, file.path)
  }

  /** The words of all files of a root, whose paths changed. */
  renewWords(root: number): void {
    const { store } = this
    for (const { id } of store.rows("SELECT id FROM files WHERE root = ?", root))
      store.run("DELETE FROM words WHERE rowid = ?", id!)
    store.run(`${insertWords} WHERE root = ?`, root)
  }

  removeFile(id: number): void {
    this.store.run("DELETE FROM words WHERE rowid = ?", id)
    this.store.run("DELETE FROM files WHERE id = ?", id)
  }

  /** Vectors of contents that are there, row by row from `first` on [N, dim]; NaN for what has none. */
  setVectors(generation: Generation, first: number, rows: Float32Array): void {
    assert(first + rows.length / generation.dim <= this.store.count, "rows of contents that are counted")
    this.vectorsOf(generation).write(first, rows)
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
    const { store } = this
    const old = store.generations().filter(({ id }) => id !== generation.id)
    store.writing(() => {
      for (const { id } of old) store.run("DELETE FROM background WHERE generation = ?", id)
      for (const { id } of old) store.run("DELETE FROM generations WHERE id = ?", id)
      store.run("UPDATE generations SET state = 'active' WHERE id = ?", generation.id)
      also()
    })
    for (const { id } of old) await this.removeVectors(id)
  }

  /** Ends a generation that was being built. */
  async discard(generation: Generation): Promise<void> {
    assert(generation.state === "building", "the active generation stays")
    this.store.writing(() => {
      this.store.run("DELETE FROM background WHERE generation = ?", generation.id)
      this.store.run("DELETE FROM generations WHERE id = ?", generation.id)
    })
    await this.removeVectors(generation.id)
  }

  [Symbol.dispose](): void {
    for (const writer of this.vectors.values()) writer[Symbol.dispose]()
    this.vectors.clear()
    this.emptyLog()
    this.store[Symbol.dispose]()
    this.lock[Symbol.dispose]()
  }

  /** The log goes when its last reader closes the database, which may be much later: without content it hinders nobody. */
  private emptyLog(): void {
    try {
      this.store.db.exec("PRAGMA wal_checkpoint(TRUNCATE)")
    } catch {
      // A full disk, or a reader that is busy: what is in the log counts all the same.
    }
  }

  private insertPicture(id: number, { content, files }: NewPicture): void {
    this.store.run(
      `INSERT INTO contents (id, hash, bytes, format, width, height, orientation, taken, camera, lens, latitude, longitude,
         caption, keywords, sharpness) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      ...([id, content.hash, content.bytes, content.format, content.width, content.height] as const),
      ...([content.orientation, content.taken, content.camera, content.lens, content.latitude] as const),
      ...([content.longitude, content.caption, content.keywords.join(", ") || null, content.sharpness] as const),
    )
    for (const file of files) this.putFile(file, id)
  }

  private insertFailure({ root, path, size, mtime, reason }: NewFailure): void {
    const before = this.store.row("SELECT id FROM files WHERE root = ? AND path = ?", root, path)
    if (before) this.removeFile(Number(before.id))
    this.store.run(
      `INSERT INTO failures (root, path, size, mtime, reason, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
       ON CONFLICT (root, path) DO UPDATE SET size = ?3, mtime = ?4, reason = ?5, at = ?6, attempts = attempts + 1`,
      ...([root, path, size, mtime, reason, new Date().toISOString()] as const),
    )
  }

  /** Makes a file of vectors that is cut, missing, or damaged in its header whole again: what is lost becomes rows of NaN. */
  restoreLength(generation: Generation): void {
    const { id, model, identity, dim, settings } = generation
    assert(!this.vectors.has(id), "vectors are restored before others are written")
    const header = { model, identity, dim, settings: { ...settings } }
    const writer = VectorWriter.restored(this.store.vectorsPath(generation), header)
    this.vectors.set(id, writer)
    writer.fill(this.store.count)
  }

  /** The file of a generation that the database does not know yet: what a writer leaves that is killed is removed by the next. */
  newVectors({ id, model, identity, dim, settings }: Omit<Generation, "state" | "created">): VectorWriter {
    return new VectorWriter(this.store.vectorsPath({ id }), { model, identity, dim, settings: { ...settings } })
  }

  /** Opened once. A file that has fewer rows than count is cut: appending would leave a hole of zeros. */
  private vectorsOf(generation: Generation): VectorWriter {
    const { id, model, identity, dim, settings } = generation
    const open = this.vectors.get(id)
    if (open) return open
    const path = this.store.vectorsPath(generation)
    const { count } = this.store
    if (generation.state === "active" && count > 0) {
      const rows = existsSync(path) ? rowsInFile(path, dim) : 0
      if (rows < count) throw new UserError(`${path} was cut: it has ${rows} of ${count} vectors`, repairHint)
    }
    const writer = new VectorWriter(path, { model, identity, dim, settings: { ...settings } })
    this.vectors.set(id, writer)
    return writer
  }

  /** Where a reader has a file mapped, Windows keeps it: the next writer tries again. */
  async removeVectors(id: number): Promise<void> {
    this.vectors.get(id)?.[Symbol.dispose]()
    this.vectors.delete(id)
    for (const path of [this.store.vectorsPath({ id }), this.store.codesPath({ id })])
      await rm(path, { force: true }).catch(keptWhileMapped)
  }

  /** Files of generations that were not switched to before their writer ended, or that could not be removed. */
  private async removeUnknown(): Promise<void> {
    const known = new Set(this.store.generations().map(({ id }) => id))
    for (const name of await readdir(this.store.folder)) {
      const id = Number(/^(?:vectors-(\d+)\.f16|codes-(\d+)\.bits)$/.exec(name)?.slice(1).find(Boolean) ?? "NaN")
      if (!Number.isNaN(id) && !known.has(id)) await this.removeVectors(id)
    }
  }
}

const insertWords = `INSERT INTO words (rowid, path, caption)
  SELECT files.id, files.path, coalesce(caption, '') || ' ' || coalesce(keywords, '')
  FROM files JOIN contents ON contents.id = content`

function keptWhileMapped(error: NodeJS.ErrnoException): void {
  if (!["EPERM", "EBUSY", "EACCES"].includes(error.code ?? "")) throw error
}

function openToWrite(folder: string): IndexStore {
  const path = join(folder, databaseFile)
  return inDatabase(path, () => {
    const db = new DatabaseSync(path)
    try {
      db.exec("PRAGMA busy_timeout = 10000; PRAGMA foreign_keys = 1")
      const tables = db.prepare("SELECT count(*) AS count FROM sqlite_schema").get() as { count: number }
      if (tables.count === 0) begin(db)
      requireVersion(db, path)
      // What a transaction says is on the disk before files are removed that it does without.
      db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
      return new IndexStore(folder, db)
    } catch (error) {
      db.close()
      throw error
    }
  })
}

/** The tables and the version, or nothing. */
function begin(db: DatabaseSyncInstance): void {
  db.exec(`BEGIN IMMEDIATE; ${schema}
    PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${indexVersion}; COMMIT`)
}
