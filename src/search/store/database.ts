/** The database of an index: opened to be read, also from a folder that is read-only, and its errors in words. */
import { statSync } from "node:fs"
import { pathToFileURL } from "node:url"
import { DatabaseSync, type DatabaseSyncInstance } from "@photostructure/sqlite"
import { EnvironmentError, messageOf, UserError } from "../../core/errors.ts"
import { fileError } from "../../host/files/file-error.ts"
import { applicationId, indexVersion } from "./schema.ts"

export type SqlValue = string | number | bigint | null | Uint8Array
export type Row = Readonly<Record<string, SqlValue>>

export const restoreHint = "restore it from a copy, or remove the folder and index again"

interface OpenDatabase {
  readonly db: DatabaseSyncInstance
  /** What its files looked like (`stateOf`), where SQLite was told that they do not change; else null. */
  readonly frozen: string | null
}

/** For reading. Throws UserError where it is not an index, or of a newer version. */
export function openChecked(path: string): OpenDatabase {
  const opened = openForReading(path)
  try {
    opened.db.exec("PRAGMA busy_timeout = 10000; PRAGMA query_only = 1; PRAGMA mmap_size = 268435456")
    requireVersion(opened.db, path)
    return opened
  } catch (error) {
    opened.db.close()
    throw error
  }
}

/**
 * A database with a write-ahead log needs files beside it, which a read-only folder does not take; where none are there,
 * it is read as if nobody wrote it, until its files look different (`IndexStore.isOutdated`).
 */
function openForReading(path: string): OpenDatabase {
  const db = new DatabaseSync(path, { readOnly: true })
  try {
    db.exec("PRAGMA busy_timeout = 10000")
    db.prepare("SELECT count(*) FROM sqlite_schema").get()
    return { db, frozen: null }
  } catch (error) {
    db.close()
    if (!/unable to open|readonly|read-only/i.test(messageOf(error))) throw error
    if (logSize(path) > 0)
      throw new EnvironmentError(
        `what was written last to ${path} is in its log, which cannot be read in a folder that is read-only`,
        "open the index once where its folder can be written, or copy all files of it",
      )
    const frozen = stateOf(path)
    return { db: new DatabaseSync(`${pathToFileURL(path).href}?immutable=1`, { readOnly: true }), frozen }
  }
}

/** Bytes that are not in the database itself yet. */
function logSize(path: string): number {
  return statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0
}

/** Another text after each change of its files. */
export function stateOf(path: string): string {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false })
  return `${found?.ino} ${found?.size} ${found?.mtimeNs} ${logSize(path)}`
}

/** Throws UserError where the database is not an index, or one of a newer program. */
export function requireVersion(db: DatabaseSyncInstance, path: string): void {
  const [id, version] = ["application_id", "user_version"].map((name) =>
    Number(Object.values(db.prepare(`PRAGMA ${name}`).get() as Row)[0]),
  )
  if (id !== applicationId) {
    throw new UserError(`${path} is a database of another program`, "choose another folder with --index")
  }
  if (version === indexVersion) return
  throw new UserError(
    `${path} is of version ${version}, and this program reads version ${indexVersion}`,
    version! > indexVersion ? "update mobileclip (`npm install mobileclip@latest`)" : "make the index again",
  )
}

/** Errors of SQLite become errors of one line with what to do. */
export function inDatabase<T>(path: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw databaseError(error, path)
  }
}

function databaseError(error: unknown, path: string): unknown {
  if (error instanceof UserError) return error
  const text = messageOf(error)
  const is = (pattern: RegExp) => pattern.test(text)
  if (is(/database or disk is full/i))
    return fileError(Object.assign(new Error(text), { code: "ENOSPC" }), "writing", path)
  if (is(/readonly|read-only/i)) return fileError(Object.assign(new Error(text), { code: "EROFS" }), "writing", path)
  if (is(/unable to open/i)) return new EnvironmentError(`${path} cannot be opened: ${text}`, "look at its permissions")
  if (is(/locked|busy/i))
    return new EnvironmentError(`${path} is in use by another program: ${text}`, "close what uses it, and run again")
  if (is(/disk I\/O/i)) return fileError(Object.assign(new Error(text), { code: "EIO" }), "reading", path)
  if (is(/malformed|not a database|corrupt/i)) return new UserError(`${path} is damaged: ${text}`, restoreHint)
  return error
}
