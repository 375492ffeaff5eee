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
    const pictures = store.row("SELECT count(*) AS pictures FROM contents WHERE copies > 0")!
    const taken = store.row("SELECT min(taken) AS first, max(taken) AS last FROM contents WHERE copies > 0")!
    const failures = store.rows(
      "SELECT roots.path AS root, failures.path AS path, reason FROM failures JOIN roots ON roots.id = root ORDER BY at DESC LIMIT ?",
      mostFailures,
    )
    return {
      pictures: Number(pictures.pictures),
      files: Number(store.row("SELECT count(*) AS count FROM files")!.count),
      ...{ model, dim, roots: store.rows("SELECT path FROM roots ORDER BY path").map(({ path }) => path as string) },
      taken: taken.first === null ? null : { first: taken.first as string, last: taken.last as string },
      ...{ cameras: facet(store, "camera"), formats: facet(store, "format") },
      failures: {
        count: Number(store.row("SELECT count(*) AS count FROM failures")!.count),
        some: failures.map(({ root, path, reason }) => ({
          path: join(root as string, path as string),
          reason: reason as string,
        })),
      },
    }
  })
}

function facet(store: IndexStore, column: "camera" | "format"): Facet[] {
  return store
    .rows(
      `SELECT ${column} AS name, count(*) AS pictures FROM contents WHERE copies > 0 AND ${column} IS NOT NULL
       GROUP BY ${column} ORDER BY pictures DESC, ${column} LIMIT ?`,
      mostFacets,
    )
    .map(({ name, pictures }) => ({ name: name as string, pictures: Number(pictures) }))
}
