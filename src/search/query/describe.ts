/** What an index has, in numbers and names. */
import { join } from "node:path"
import type { IndexStore } from "../store/index-store.ts"

export interface IndexDescription {
  /** Pictures with different bytes, and their files. */
  readonly pictures: number
  readonly files: number
  readonly model: string
  readonly dim: number
  /** Folders that were indexed. */
  readonly roots: readonly string[]
  /** Local times of the first and the last picture that has one; null where none has. */
  readonly taken: { readonly first: string; readonly last: string } | null
  /** The most frequent first. */
  readonly cameras: readonly Facet[]
  readonly formats: readonly Facet[]
  readonly failures: { readonly count: number; readonly some: readonly { path: string; reason: string }[] }
}

export interface Facet {
  readonly name: string
  readonly pictures: number
}

const mostFacets = 50
const mostFailures = 10

/** Reads each content once. */
export function describeIndex(store: IndexStore): IndexDescription {
  return store.reading(() => {
    const { model, dim } = store.active()
    return {
      pictures: countOf(store, "contents WHERE copies > 0"),
      files: countOf(store, "files"),
      ...{ model, dim, roots: store.rows("SELECT path FROM roots ORDER BY path").map(({ path }) => path as string) },
      ...{ taken: takenOf(store), cameras: facet(store, "camera"), formats: facet(store, "format") },
      failures: { count: countOf(store, "failures"), some: lastFailures(store) },
    }
  })
}

function countOf(store: IndexStore, rows: string): number {
  return Number(store.row(`SELECT count(*) AS count FROM ${rows}`)!.count)
}

function takenOf(store: IndexStore): IndexDescription["taken"] {
  const { first, last } = store.row("SELECT min(taken) AS first, max(taken) AS last FROM contents WHERE copies > 0")!
  return first === null ? null : { first: first as string, last: last as string }
}

function lastFailures(store: IndexStore): IndexDescription["failures"]["some"] {
  const sql = `SELECT roots.path AS root, failures.path AS path, reason
    FROM failures JOIN roots ON roots.id = root ORDER BY at DESC LIMIT ?`
  return store
    .rows(sql, mostFailures)
    .map(({ root, path, reason }) => ({ path: join(root as string, path as string), reason: reason as string }))
}

function facet(store: IndexStore, column: "camera" | "format"): Facet[] {
  const sql = `SELECT ${column} AS name, count(*) AS pictures FROM contents WHERE copies > 0 AND ${column} IS NOT NULL
    GROUP BY ${column} ORDER BY pictures DESC, ${column} LIMIT ?`
  return store.rows(sql, mostFacets).map(({ name, pictures }) => ({ name: name as string, pictures: Number(pictures) }))
}
