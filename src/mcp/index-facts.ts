/** What an index says of itself, from its database. */
import { join, relative, sep } from "node:path"
import type { IndexStore } from "../search/store/index-store.ts"
import type { IndexDescription } from "./searched-index.ts"

const mostCameras = 20
const mostFailures = 20

/** Of one state of the index, also while it is written. */
export function describeIndex(store: IndexStore): IndexDescription {
  return store.reading(() => {
    const { model, dim } = store.active()
    const one = (sql: string) => Number(store.row(sql)?.count ?? 0)
    return {
      pictures: one("SELECT count(*) AS count FROM contents WHERE copies > 0"),
      files: one("SELECT count(*) AS count FROM files"),
      ...{ model, dim, taken: takenOf(store), cameras: camerasOf(store) },
      roots: store.rows("SELECT path FROM roots ORDER BY path").map(({ path }) => String(path)),
      failures: { count: one("SELECT count(*) AS count FROM failures"), some: failuresOf(store) },
    }
  })
}

function takenOf(store: IndexStore): IndexDescription["taken"] {
  const row = store.row("SELECT min(taken) AS first, max(taken) AS last FROM contents WHERE copies > 0")
  return row?.first ? { first: String(row.first), last: String(row.last) } : null
}

function camerasOf(store: IndexStore): IndexDescription["cameras"] {
  const sql = `SELECT camera AS name, count(*) AS pictures FROM contents WHERE copies > 0 AND camera IS NOT NULL
    GROUP BY camera ORDER BY pictures DESC, name LIMIT ?`
  return store.rows(sql, mostCameras).map(({ name, pictures }) => ({ name: String(name), pictures: Number(pictures) }))
}

function failuresOf(store: IndexStore): IndexDescription["failures"]["some"] {
  const sql = `SELECT roots.path AS root, failures.path, reason FROM failures JOIN roots ON roots.id = root
    ORDER BY roots.path, failures.path LIMIT ?`
  return store
    .rows(sql, mostFailures)
    .map(({ root, path, reason }) => ({ path: join(String(root), String(path)), reason: String(reason) }))
}

/** Whether an absolute path is that of a file of the index. Folders of an index may lie within each other. */
export function hasFile(store: IndexStore, path: string): boolean {
  return store.rows("SELECT id, path FROM roots").some(({ id, path: root }) => {
    const below = relative(String(root), path)
    return [below, below.replaceAll(sep, "/")].some(
      (name) => store.row("SELECT 1 FROM files WHERE root = ? AND path = ?", Number(id), name) !== undefined,
    )
  })
}
