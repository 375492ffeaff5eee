/**
 * An index: a folder with a database of pictures and a file of vectors for each generation (`schema.ts`, `vector-file.ts`).
 * Any number of processes read it at any time; one writes (`index-writer.ts`). What a reader sees in one transaction is one
 * state of the index: vectors are on the disk before the transaction that counts them.
 */
import { existsSync, type Stats, statSync } from "node:fs"
import { join, resolve } from "node:path"
import type { DatabaseSyncInstance, StatementSyncInstance } from "@photostructure/sqlite"
import { EnvironmentError, UserError } from "../../core/errors.ts"
import { isObject, jsonOrNull } from "../../core/json.ts"
import { inTurns, nextTurn } from "../../core/turns.ts"
import { fileError } from "../../host/files/file-error.ts"
import { inDatabase, openChecked, type Row, restoreHint, type SqlValue, stateOf } from "./database.ts"
import { indexCommand } from "./index-command.ts"
import { rowsWithoutVector } from "./vector-file.ts"

export const databaseFile = "index.sqlite"

/** How pictures become vectors: with another setting they would be other vectors. */
export interface IndexSettings {
  readonly orientation: "apply" | "ignore"
  readonly decode: "exact" | "fast"
  /** Where vectors are searched: the mapped file, or a LanceDB table at this address. */
  readonly store: "file" | { readonly lancedb: string }
  /** Vectors were not encoded, but mapped from another model's (`migrate/preview-model.ts`). */
  readonly mapped?: { readonly from: string; readonly pictures: number; readonly meanCosine: number }
}

export interface Generation {
  readonly id: number
  /** "building" beside an active one: being encoded. */
  readonly state: "active" | "building"
  /** In messages. */
  readonly model: string
  /** What the user called the model: an absolute path, or a name. */
  readonly source: string
  /** Name, hashes of the weights and preprocessing (`core/inference/teacher-identity.ts`). */
  readonly identity: string
  readonly dim: number
  readonly settings: IndexSettings
  /** ISO 8601. */
  readonly created: string
}

export class IndexStore implements Disposable {
  private readonly prepared = new Map<string, StatementSyncInstance>()

  /**
   * @param db open; tables are those of `schema.ts`
   * @param frozen what the database's files looked like, where SQLite was told that they do not change; else null
   */
  constructor(
    readonly folder: string,
    readonly db: DatabaseSyncInstance,
    private readonly frozen: string | null = null,
  ) {}

  /**
   * For reading, also from a folder that is read-only.
   *
   * @throws UserError where there is no index, it is of a newer version, or damaged; EnvironmentError where it cannot be read
   */
  static open(folder: string): IndexStore {
    const path = join(folder, databaseFile)
    requireIndex(folder)
    const { db, frozen } = inDatabase(path, () => openChecked(path))
    return new IndexStore(resolve(folder), db, frozen)
  }

  /** Whether it must be opened again: it was read as if nobody wrote it, and somebody did. */
  get isOutdated(): boolean {
    return this.frozen !== null && this.frozen !== stateOf(this.path)
  }

  /** Contents that count: rows of every vector file. Those without a file, or a vector, among them. */
  get count(): number {
    return Number(this.meta("count") ?? "0")
  }

  meta(key: string): string | null {
    return (this.row("SELECT value FROM meta WHERE key = ?", key)?.value as string | undefined) ?? null
  }

  /** Throws UserError where nothing was indexed yet. */
  active(): Generation {
    const found = this.generations().find(({ state }) => state === "active")
    if (found) return found
    const hint = indexCommand(this.folder, "DIR", "--model", "MODEL")
    throw new UserError(`the index in ${this.folder} has no pictures yet`, hint)
  }

  generations(): Generation[] {
    return this.rows("SELECT * FROM generations ORDER BY id").map((row) => generationOf(row, this.path))
  }

  /** Whether this generation is still here: another process may have put the next one in its place. */
  hasGeneration({ id }: Pick<Generation, "id">): boolean {
    return this.generations().some((generation) => generation.id === id)
  }

  vectorsPath({ id }: Pick<Generation, "id">): string {
    return join(this.folder, `vectors-${id}.f16`)
  }

  /** Where binary codes are, if the index is large. */
  codesPath({ id }: Pick<Generation, "id">): string {
    return join(this.folder, `codes-${id}.bits`)
  }

  /** Ids of contents that count and have no vector by a generation. */
  withoutVector(generation: Generation): Set<number> {
    const path = this.vectorsPath(generation)
    if (this.count === 0 || !existsSync(path)) return new Set()
    return new Set(rowsWithoutVector(path, generation.dim, this.count).map((row) => row + 1))
  }

  /** Statements are prepared once. Parameters are those of node:sqlite. */
  statement(sql: string): StatementSyncInstance {
    const found = this.prepared.get(sql) ?? this.db.prepare(sql)
    this.prepared.set(sql, found)
    return found
  }

  row(sql: string, ...values: SqlValue[]): Row | undefined {
    return this.within(() => this.statement(sql).get(...values) as Row | undefined)
  }

  rows(sql: string, ...values: SqlValue[]): Row[] {
    return this.within(() => this.statement(sql).all(...values) as Row[])
  }

  run(sql: string, ...values: SqlValue[]): void {
    this.within(() => this.statement(sql).run(...values))
  }

  /** Everything that `work` reads is of one state of the index. It must not wait for anything. */
  reading<T>(work: () => T): T {
    return this.transaction("BEGIN", work)
  }

  /** Everything that `work` writes, or nothing. */
  writing<T>(work: () => T): T {
    return this.transaction("BEGIN IMMEDIATE", work)
  }

  /**
   * The same for long work, which may be stopped wherever it yields: then nothing is written. Nobody else may use this store
   * meanwhile; other ones read what was there before.
   *
   * @throws what `work` throws; the signal's reason
   */
  async writingInTurns<T>(work: Generator<void, T>, signal?: AbortSignal): Promise<T> {
    this.within(() => this.db.exec("BEGIN IMMEDIATE"))
    try {
      const result = await inTurns(work, async () => {
        await nextTurn()
        signal?.throwIfAborted()
      })
      this.within(() => this.db.exec("COMMIT"))
      return result
    } catch (error) {
      this.rollBack()
      throw error
    }
  }

  [Symbol.dispose](): void {
    this.prepared.clear()
    if (this.db.isOpen) this.db.close()
  }

  private get path(): string {
    return join(this.folder, databaseFile)
  }

  private within<T>(work: () => T): T {
    try {
      return inDatabase(this.path, work)
    } catch (error) {
      if (!this.isOutdated) throw error
      throw new EnvironmentError(`${this.path} was written while it was read`, "ask again", { cause: error })
    }
  }

  private transaction<T>(begin: string, work: () => T): T {
    this.within(() => this.db.exec(begin))
    try {
      const result = work()
      this.within(() => this.db.exec("COMMIT"))
      return result
    } catch (error) {
      this.rollBack()
      throw error
    }
  }

  private rollBack(): void {
    // SQLite ends a transaction by itself where the disk is full.
    if (this.db.isTransaction) this.db.exec("ROLLBACK")
  }
}

function generationOf(row: Row, path: string): Generation {
  const settings = jsonOrNull(String(row.settings))
  if (isObject(settings)) return { ...row, settings } as unknown as Generation
  throw new UserError(`${path}: the settings of generation ${row.id} are damaged`, restoreHint)
}

/** Throws UserError where the folder has no index. */
export function requireIndex(folder: string): void {
  const database = statOf(join(folder, databaseFile))
  if (database?.isFile() && database.size > 0) return
  if (database) {
    const what = database.isFile() ? "is empty" : "is not a file"
    throw new UserError(`${join(folder, databaseFile)} ${what}`, restoreHint)
  }
  const found = statOf(folder)
  const what = found === undefined ? "it does not exist" : found.isDirectory() ? `${databaseFile} is missing` : "a file"
  throw new UserError(
    `there is no index in ${folder}: ${what}`,
    `${indexCommand(folder, "DIR", "--model", "MODEL")} makes one; name another with --index`,
  )
}

/** Undefined where there is none; throws EnvironmentError where it cannot be looked at. */
export function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch (error) {
    throw fileError(error, "reading", path)
  }
}
