/**
 * Immich's database, in the backups that it makes of itself: a dump of PostgreSQL (`immich-db-backup-*.sql.gz`). Names of tables
 * are those before and since version 1.136: assets and asset, exif and asset_exif. (immich-app/immich, `server/src/schema/`.)
 * The dump is read twice: tables come in the order of their names, and the model's name stands after the vectors.
 */
import { join } from "node:path"
import { DatabaseSync } from "@photostructure/sqlite"
import { UserError } from "../../../core/errors.ts"
import { isObject, jsonOrNull } from "../../../core/json.ts"
import { requireFile } from "../../../host/files/files.ts"
import { temporaryFolder } from "../../../host/files/temporary.ts"
import { inDatabase } from "../../store/database.ts"
import { type DumpedRow, dumpedRows, type WantedColumns } from "./pg-dump.ts"
import type { ImportedPicture, ImportSource } from "./source.ts"

const asset = ["id", "type", "originalPath", "localDateTime", "deletedAt", "status"]
const exif = ["assetId", "description", "dateTimeOriginal", "latitude", "longitude", "make", "model"]
const config = ["key", "value"]
const factTables: WantedColumns = {
  asset,
  assets: asset,
  exif,
  asset_exif: exif,
  system_config: config,
  system_metadata: config,
}
const vectorTables: WantedColumns = { smart_search: ["assetId", "embedding"] }

/** Immich's own, where the administrator chose none. */
const defaultModel = "ViT-B-32__openai"

/** Throws UserError where the file is not a dump, is cut off, or has no pictures of Immich. */
export async function openImmich(path: string): Promise<ImportSource> {
  await requireFile(path)
  const facts = new Facts()
  try {
    let dim: number | null = null
    for await (const row of dumpedRows(path, { ...factTables, ...vectorTables })) {
      if (row.table !== "smart_search") facts.add(row)
      else if (row.fields.embedding) dim ??= vectorOf(row.fields.embedding, path).length
    }
    const total = facts.finish()
    if (total === 0)
      throw new UserError(
        `${path} has no pictures of Immich`,
        "name a backup of its database, immich-db-backup-*.sql.gz",
      )
    const model = { name: facts.model ?? defaultModel, identity: null, orientation: null }
    const pictures = () => picturesIn(path, facts, dim)
    return { kind: "immich", name: path, dim, model, total, pictures, [Symbol.asyncDispose]: async () => facts.close() }
  } catch (error) {
    facts.close()
    throw error
  }
}

/** Pictures with vectors in the order of these, then those without one. */
async function* picturesIn(path: string, facts: Facts, dim: number | null): AsyncGenerator<ImportedPicture> {
  facts.begin()
  for await (const { fields } of dumpedRows(path, vectorTables)) {
    const { assetId, embedding } = fields
    if (!assetId || !embedding) continue
    const vector = vectorOf(embedding, path)
    if (vector.length !== dim) throw new UserError(`${path}: vectors of ${dim} and of ${vector.length} values`)
    const found = facts.take(assetId)
    if (found) yield { ...found, vector }
  }
  for (const found of facts.rest()) yield { ...found, vector: null }
}

/** pgvector's text: `[0.1,-2e-05]`. */
function vectorOf(text: string, path: string): Float32Array {
  const values = jsonOrNull(text)
  if (Array.isArray(values) && values.length > 0 && values.every((value) => typeof value === "number"))
    return Float32Array.from(values)
  throw new UserError(`${path}: a vector in smart_search is damaged`, "copy or make the backup again")
}

/** What the dump says of each picture but its vector, in a temporary database: a library of a million fits. */
class Facts {
  private readonly folder = temporaryFolder("import")
  private readonly path = join(this.folder.path, "facts.sqlite")
  private readonly database = inDatabase(this.path, () => new DatabaseSync(this.path))
  private readonly addAsset
  private readonly addExif
  private readonly setTaken
  private readonly one
  model: string | null = null

  constructor() {
    this.within(() =>
      this.database.exec(`
      PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
      CREATE TABLE assets (id TEXT PRIMARY KEY, path TEXT NOT NULL, local TEXT, taken INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
      CREATE TABLE exif (id TEXT PRIMARY KEY, description TEXT, date TEXT, latitude TEXT, longitude TEXT, camera TEXT) WITHOUT ROWID;
      BEGIN`),
    )
    this.addAsset = this.database.prepare("INSERT OR REPLACE INTO assets (id, path, local) VALUES (?, ?, ?)")
    this.addExif = this.database.prepare("INSERT OR REPLACE INTO exif VALUES (?, ?, ?, ?, ?, ?)")
    this.setTaken = this.database.prepare("UPDATE assets SET taken = 1 WHERE id = ? AND taken = 0")
    this.one = this.database.prepare(`${select} WHERE assets.id = ?`)
  }

  /** Pictures that are not in the trash, and what is known of them. */
  add({ table, fields }: DumpedRow): void {
    if (table.startsWith("system_")) this.readConfig(fields)
    else if (table.endsWith("exif")) {
      const { assetId, description, dateTimeOriginal, latitude, longitude, make, model } = fields
      const camera = [make, model].filter(Boolean).join(" ") || null
      const texts = [description || null, dateTimeOriginal, latitude, longitude].map((value) => value ?? null)
      if (assetId) this.within(() => this.addExif.run(assetId, ...texts, camera))
    } else {
      const { id, type, originalPath, localDateTime = null, deletedAt, status = "active" } = fields
      if (id && originalPath && type === "IMAGE" && !deletedAt && status === "active")
        this.within(() => this.addAsset.run(id, originalPath, localDateTime))
    }
  }

  /** Early versions have a row for each setting, later ones one row with all that differ from the defaults. */
  private readConfig({ key, value }: DumpedRow["fields"]): void {
    if (key === "machineLearning.clip.modelName") this.model = String(jsonOrNull(value ?? "") ?? value)
    if (key !== "system-config") return
    let found = jsonOrNull(value ?? "")
    for (const name of ["machineLearning", "clip", "modelName"]) found = isObject(found) ? found[name] : null
    if (typeof found === "string") this.model = found
  }

  /** The number of pictures. */
  finish(): number {
    this.within(() => this.database.exec("COMMIT"))
    return (this.database.prepare("SELECT count(*) AS n FROM assets").get() as { n: number }).n
  }

  begin(): void {
    this.within(() => this.database.exec("UPDATE assets SET taken = 0"))
  }

  /** Null where there is no such picture, or it was taken before. */
  take(id: string): Omit<ImportedPicture, "vector"> | null {
    if (this.within(() => this.setTaken.run(id)).changes === 0) return null
    return factsOf(this.one.get(id) as Record<string, string | null>)
  }

  *rest(): Generator<Omit<ImportedPicture, "vector">> {
    const some = this.database.prepare(`${select} WHERE taken = 0 AND assets.id > ? ORDER BY assets.id LIMIT 1000`)
    for (let last = ""; ; ) {
      // An iterator over all rows dies with its statement, which nothing keeps from being collected.
      const rows = some.all(last) as Record<string, string | null>[]
      if (rows.length === 0) return
      for (const row of rows) yield factsOf(row)
      last = rows.at(-1)!.id!
    }
  }

  private within<T>(work: () => T): T {
    return inDatabase(this.path, work)
  }

  close(): void {
    this.database.close()
    this.folder[Symbol.dispose]()
  }
}

const select =
  "SELECT assets.id AS id, path, local, description, date, latitude, longitude, camera FROM assets LEFT JOIN exif ON exif.id = assets.id"

function factsOf(row: Readonly<Record<string, string | null>>): Omit<ImportedPicture, "vector"> {
  const { path, local, description, date, latitude, longitude, camera } = row
  return {
    ...{ path: path!, caption: description ?? null, camera: camera ?? null, taken: localTime(local ?? date ?? null) },
    ...{ latitude: numberOf(latitude), longitude: numberOf(longitude) },
  }
}

/** `2023-07-14 10:22:31.5+02`: minutes of the zone are left out where they are 0. Immich keeps local times as if they were UTC. */
function localTime(date: string | null): string | null {
  const full = date?.replace(" ", "T").replace(/([+-]\d\d)$/, "$1:00") ?? ""
  const time = Date.parse(full)
  return Number.isNaN(time) ? null : new Date(time).toISOString().slice(0, 19)
}

function numberOf(text: string | null | undefined): number | null {
  const value = Number(text ?? Number.NaN)
  return Number.isFinite(value) ? value : null
}
