/** What an index knows of rows, and of single files. */
import { sep } from "node:path"
import type { Row } from "../../store/database.ts"
import type { IndexStore } from "../../store/index-store.ts"
import type { Filters } from "../filters.ts"
import type { SearchHit } from "../search-page.ts"
import { contentCondition, fileCondition } from "./mask.ts"

export type FoundContent = Pick<
  SearchHit,
  "paths" | "width" | "height" | "taken" | "camera" | "caption" | "latitude" | "longitude" | "hash" | "position"
> & {
  readonly bytes: number
  readonly sharpness: number | null
}

/**
 * By row; those without a file are not there. Files that pass the filters are named first, or are the only ones. Within a
 * transaction.
 */
export function lookUpRows(
  store: IndexStore,
  positions: readonly number[],
  filters: Filters,
  files: "passing first" | "passing only" = "passing first",
): Map<number, FoundContent> {
  const condition = fileCondition(filters) ?? { sql: "1", values: [] }
  const ids = JSON.stringify(positions.map((position) => position + 1))
  const found = store.rows(
    `SELECT files.content AS id, roots.path AS root, files.path AS path, ${condition.sql} AS passes
     FROM json_each(?) AS given JOIN files ON files.content = given.value JOIN roots ON roots.id = files.root
     ORDER BY passes DESC, roots.path, files.path`,
    ...[...condition.values, ids],
  )
  const paths = new Map<number, string[]>()
  for (const { id, root, path, passes } of found) {
    if (files === "passing only" && Number(passes) === 0) continue
    const own = paths.get(Number(id)) ?? []
    const absolute = joined(root as string, path as string)
    if (!own.includes(absolute)) own.push(absolute)
    paths.set(Number(id), own)
  }
  const contents = store.rows(
    `SELECT contents.id AS id, width, height, taken, camera, caption, latitude, longitude, lower(hex(hash)) AS hash,
       bytes, sharpness
     FROM json_each(?) AS given JOIN contents ON contents.id = given.value WHERE copies > 0`,
    ids,
  )
  return new Map(contents.flatMap((row) => entryOf(row, paths.get(Number(row.id)))))
}

function entryOf(row: Row, paths: readonly string[] | undefined): [number, FoundContent][] {
  if (!paths) return []
  const position = Number(row.id) - 1
  const { id: _, ...facts } = row
  return [[position, { ...(facts as unknown as Omit<FoundContent, "paths" | "position">), paths, position }]]
}

/** A root may be that of a drive, which ends with a separator. Paths below it have slashes or the system's separators. */
function joined(root: string, path: string): string {
  return root.endsWith("/") || root.endsWith(sep) ? root + path : root + sep + path
}

interface Newest {
  /** Rows [0, count) are looked at. */
  readonly count: number
  readonly k: number
  /** The row of the last picture of the page before. */
  readonly after: number | null
}

/** Rows that pass the filters and have a file, the newest first, those without a date last. Within a transaction. */
export function newestRows(store: IndexStore, filters: Filters, { count, k, after }: Newest): number[] {
  const { sql, values } = contentCondition(filters)
  const last = `(SELECT coalesce(taken, '') FROM contents WHERE id = ?)`
  const isAfter = after === null ? "1" : `(coalesce(taken, ''), contents.id) < (${last}, ?)`
  const found = store.rows(
    `SELECT contents.id AS id FROM contents WHERE copies > 0 AND contents.id <= ? AND ${isAfter} AND ${sql}
     ORDER BY coalesce(taken, '') DESC, contents.id DESC LIMIT ?`,
    ...[count, ...(after === null ? [] : [after + 1, after + 1]), ...values, k],
  )
  return found.map(({ id }) => Number(id) - 1)
}

/** The row of an absolute path's content; null where the index has no such file. */
export function rowOfFile(store: IndexStore, path: string): number | null {
  for (const { id, path: root } of store.rows("SELECT id, path FROM roots ORDER BY length(path) DESC")) {
    const below = joined(root as string, "")
    if (!path.startsWith(below)) continue
    const found = store.row("SELECT content FROM files WHERE root = ? AND path = ?", id!, path.slice(below.length))
    const row =
      found ??
      store.row(
        "SELECT content FROM files WHERE root = ? AND path = ?",
        id!,
        path.slice(below.length).replaceAll(sep, "/"),
      )
    if (row) return Number(row.content) - 1
  }
  return null
}

/** The row of a content by its SHA-256; null where the index does not have it. */
export function rowOfHash(store: IndexStore, hash: Uint8Array): number | null {
  const found = store.row("SELECT id FROM contents WHERE hash = ?", hash)
  return found ? Number(found.id) - 1 : null
}
