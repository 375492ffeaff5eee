/** Filters to bits: bit p of a mask is 1 where the content of row p may be a hit. */
import { sep } from "node:path"
import type { SqlValue } from "../../store/database.ts"
import type { IndexStore } from "../../store/index-store.ts"
import type { Filters, Near, SizeBound } from "../filters.ts"

export interface Mask {
  /** Least significant bit first; bits from the count on are 0. */
  readonly bits: Uint8Array
  /** How many are 1. */
  readonly left: number
}

export function isIn(row: number, count: number, mask: Mask | null): boolean {
  return row < count && (mask === null || (mask.bits[row >> 3]! & (1 << (row & 7))) !== 0)
}

/** The bits of a mask that leaves out none of the first `count` rows. */
export function allRows(count: number): Uint8Array {
  return firstBits(new Uint8Array((count + 7) >> 3).fill(255), count)
}

/** A copy of the first `count` bits. */
export function firstBits(bits: Uint8Array, count: number): Uint8Array {
  const first = bits.slice(0, (count + 7) >> 3)
  if (count & 7) first[first.length - 1]! &= (1 << (count & 7)) - 1
  return first
}

interface Condition {
  readonly sql: string
  readonly values: readonly SqlValue[]
}

/** Whether anything is left out by the filters. */
export function isFiltering(filters: Filters): boolean {
  return Object.values(filters).some((value) => value !== undefined)
}

/** Contents that have no file any more: few, by an index of their own. */
export function goneRows(store: IndexStore): number[] {
  return idsIn(store, "SELECT group_concat(id) AS ids FROM contents WHERE copies = 0", []).map((id) => id - 1)
}

/** Bits of the contents with ids above `from`, up to `count`, that pass the filters; those without a file among them. */
export function addFiltered(store: IndexStore, filters: Filters, bits: Uint8Array, from: number, count: number): void {
  const { sql, values } = contentCondition(filters)
  const ids = idsIn(
    store,
    `SELECT group_concat(contents.id) AS ids FROM contents WHERE contents.id > ? AND contents.id <= ? AND ${sql}`,
    [from, count, ...values],
  )
  for (const id of ids) bits[(id - 1) >> 3]! |= 1 << ((id - 1) & 7)
}

/** One text of all ids: rows as objects take some ten times as long. */
function idsIn(store: IndexStore, sql: string, values: readonly SqlValue[]): number[] {
  const text = store.row(sql, ...values)?.ids as string | null | undefined
  return text ? numbersIn(text) : []
}

/** "1,22,3". */
export function numbersIn(text: string): number[] {
  const found: number[] = []
  let value = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === comma) {
      found.push(value)
      value = 0
    } else value = value * 10 + code - zero
  }
  found.push(value)
  return found
}

const [comma, zero] = [44, 48]

/** Whether a mask of these filters depends on files, which come and go, or on what may be read again of files beside a picture. */
export function mayChange({ folders, names, taken, near }: Filters): boolean {
  return [folders, names, taken, near].some((filter) => filter !== undefined)
}

/** A condition on `contents`. */
export function contentCondition(filters: Filters): Condition {
  const files = fileCondition(filters)
  const inFiles: Condition[] = files
    ? [
        {
          sql: `contents.id IN (SELECT files.content FROM files JOIN roots ON roots.id = files.root WHERE ${files.sql})`,
          values: files.values,
        },
      ]
    : []
  return all([...ofContents(filters), ...inFiles])
}

/** A condition on `files` and `roots`; null where every file will do. */
export function fileCondition({ folders, names }: Filters): Condition | null {
  const conditions = [
    ...(folders ? [any(folders.map(folderCondition))] : []),
    ...(names ? [any(names.map((pattern) => ({ sql: `lower(${nameSql}) GLOB lower(?)`, values: [pattern] })))] : []),
  ]
  return conditions.length > 0 ? all(conditions) : null
}

/** With slashes: on Windows, paths may have both. */
function slashed(sql: string): string {
  return sep === "\\" ? `replace(${sql}, '\\', '/')` : sql
}

/** What stands after the last separator: SQLite has no function for it. */
const nameSql = `substr(files.path, 1 + length(rtrim(${slashed("files.path")}, replace(${slashed("files.path")}, '/', ''))))`

/** A root in the folder, or the folder in a root. Comparing by substr is exact, where LIKE would know wildcards. */
function folderCondition(folder: string): Condition {
  const place = folder.replaceAll(sep, "/")
  const below = place.endsWith("/") ? place : `${place}/`
  const [root, path] = [slashed("roots.path"), slashed("files.path")]
  const sql = `(${root} = ? OR substr(${root}, 1, length(?)) = ?
    OR (substr(?, 1, length(${root}) + 1) = rtrim(${root}, '/') || '/' AND substr(rtrim(${root}, '/') || '/' || ${path}, 1, length(?)) = ?))`
  return { sql, values: [place, below, below, below, below, below] }
}

function ofContents({ taken, sizes = [], shapes, cameras, near, formats }: Filters): Condition[] {
  return [
    ...(taken ? [{ sql: "taken IS NOT NULL", values: [] }] : []),
    ...(taken && taken.from !== null ? [{ sql: "taken >= ?", values: [taken.from] }] : []),
    ...(taken && taken.until !== null ? [{ sql: "taken < ?", values: [taken.until] }] : []),
    ...sizes.map(sizeCondition),
    ...(shapes ? [any(shapes.map((shape) => ({ sql: `width ${shapeSigns[shape]} height`, values: [] })))] : []),
    ...(cameras ? [any(cameras.map((part) => ({ sql: "instr(lower(camera), lower(?)) > 0", values: [part] })))] : []),
    ...(near ? [nearCondition(near)] : []),
    ...(formats ? [any(formats.map((format) => ({ sql: "format = ?", values: [format] })))] : []),
  ]
}

const shapeSigns = { landscape: ">", portrait: "<", square: "=" } as const

function sizeCondition(bound: SizeBound): Condition {
  const condition = largerCondition(bound)
  return bound.than === "larger" ? condition : { ...condition, sql: `NOT (${condition.sql})` }
}

function largerCondition(bound: SizeBound): Condition {
  switch (bound.unit) {
    case "pixels":
      return { sql: "width * height >= ?", values: [bound.pixels] }
    case "bytes":
      return { sql: "bytes >= ?", values: [bound.bytes] }
    case "sides":
      return { sql: "max(width, height) >= ? AND min(width, height) >= ?", values: [bound.longer, bound.shorter] }
    default:
      return bound satisfies never
  }
}

const earthKilometers = 6371.0088

/** By the haversine. */
function nearCondition({ latitude, longitude, kilometers }: Near): Condition {
  const sql = `latitude IS NOT NULL AND longitude IS NOT NULL AND
    pow(sin(radians(latitude - ?) / 2), 2) + cos(radians(latitude)) * ? * pow(sin(radians(longitude - ?) / 2), 2) <= ?`
  const most = Math.sin(Math.min(kilometers / earthKilometers, Math.PI) / 2) ** 2
  return { sql, values: [latitude, Math.cos((latitude * Math.PI) / 180), longitude, most] }
}

function all(conditions: readonly Condition[]): Condition {
  return joined(conditions, " AND ", "1")
}

function any(conditions: readonly Condition[]): Condition {
  return joined(conditions, " OR ", "0")
}

function joined(conditions: readonly Condition[], word: string, none: string): Condition {
  return {
    sql: conditions.length === 0 ? none : `(${conditions.map(({ sql }) => sql).join(word)})`,
    values: conditions.flatMap(({ values }) => values),
  }
}
