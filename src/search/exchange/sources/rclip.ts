/**
 * rclip's database (yurijmikhalevich/rclip, `rclip/db.py`, versions 1 to 4 of it): a row for each picture, with a float32 vector
 * of unit length. The version says which model made the vectors; their preprocessing is not ours.
 */
import { DatabaseSync, type DatabaseSyncInstance } from "@photostructure/sqlite"
import { messageOf, oneLine, UserError } from "../../../core/errors.ts"
import { requireFile } from "../../../host/files/files.ts"
import type { ImportedPicture, ImportSource, SourceModel } from "./source.ts"

/** Throws UserError where the file is not such a database. */
export async function openRclip(path: string): Promise<ImportSource> {
  await requireFile(path)
  const database = explained(path, () => new DatabaseSync(path, { readOnly: true }))
  try {
    const { total, bytes } = explained(path, () => countsOf(database))
    if (bytes % 4 !== 0) throw new UserError(`${path}: a vector has ${bytes} bytes, which are not float32 values`)
    const dim = total === 0 ? null : bytes / 4
    const model = explained(path, () => modelOf(database))
    const pictures = () => picturesIn(database, path, dim ?? 0)
    return {
      kind: "rclip",
      name: path,
      dim,
      model,
      total,
      pictures,
      [Symbol.asyncDispose]: async () => database.close(),
    }
  } catch (error) {
    database.close()
    throw error
  }
}

function countsOf(database: DatabaseSyncInstance): { total: number; bytes: number } {
  const sql = "SELECT count(*) AS total, coalesce(max(length(vector)), 0) AS bytes FROM images WHERE deleted IS NULL"
  const { total, bytes } = database.prepare(sql).get() as Record<string, number>
  return { total: total!, bytes: bytes! }
}

/** Version 3 changed the model; a database without a version is of the first. */
function modelOf(database: DatabaseSyncInstance): SourceModel {
  const found = database.prepare("SELECT max(version) AS version FROM db_version").get() as { version: number | null }
  const name = (found.version ?? 1) >= 3 ? "ViT-B-32-256 (datacomp_s34b_b86k)" : "ViT-B-32-quickgelu (openai)"
  return { name, identity: null, orientation: null }
}

async function* picturesIn(database: DatabaseSyncInstance, path: string, dim: number): AsyncGenerator<ImportedPicture> {
  const some = explained(path, () => database.prepare(someRows))
  for (let last = -1; ; ) {
    // An iterator over all rows dies with its statement, which nothing keeps from being collected.
    const rows = explained(path, () => some.all(last, rowsAtOnce)) as Record<string, unknown>[]
    if (rows.length === 0) return
    for (const { filepath, vector } of rows) {
      if (typeof filepath !== "string" || !(vector instanceof Uint8Array) || vector.length !== dim * 4)
        throw new UserError(`${path}: the row of ${oneLine(String(filepath))} is damaged`, "index with rclip again")
      yield { path: filepath, vector: new Float32Array(vector.slice().buffer) }
    }
    last = Number(rows.at(-1)!.id)
  }
}

const rowsAtOnce = 500
const someRows = "SELECT id, filepath, vector FROM images WHERE deleted IS NULL AND id > ? ORDER BY id LIMIT ?"

function explained<T>(path: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw new UserError(
      `${path} cannot be read as rclip's database: ${oneLine(messageOf(error), 200)}`,
      "name its db.sqlite3; rclip makes it again where it is damaged",
      { cause: error },
    )
  }
}
