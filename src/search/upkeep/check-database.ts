/** Whether the tables of an index agree with themselves and with each other. */
import type { IndexStore } from "../store/index-store.ts"

export interface Problem {
  readonly what: string
  /** What to do about it. */
  readonly hint: string
}

const restore = "restore the index from a copy, or remove its folder and index again"
const most = 5

export function databaseProblems(store: IndexStore): Problem[] {
  const damaged = store
    .rows(`PRAGMA integrity_check(${most})`)
    .map((row) => String(Object.values(row)[0]))
    .filter((text) => text !== "ok")
  // What is damaged is not asked for more.
  if (damaged.length > 0) return damaged.map((text) => ({ what: `the database is damaged: ${text}`, hint: restore }))
  const checks = [
    [
      "SELECT count(*) AS count FROM pragma_foreign_key_check",
      (n: number) => `rows of the database that belong to files, contents or roots which are missing: ${n}`,
      restore,
    ],
    [
      `SELECT abs(count(*) - ${store.count}) + abs(coalesce(max(id), 0) - ${store.count}) AS count FROM contents`,
      () => `the database counts ${store.count} contents and has others`,
      restore,
    ],
    [
      "SELECT count(*) AS count FROM contents WHERE copies <> (SELECT count(*) FROM files WHERE content = contents.id)",
      (n: number) => `contents that count another number of files than they have: ${n}`,
      restore,
    ],
    [
      "SELECT count(*) AS count FROM words_docsize WHERE id NOT IN (SELECT id FROM files)",
      (n: number) => `files that are gone and still found by words: ${n}`,
      restore,
    ],
    [
      "SELECT count(*) AS count FROM files WHERE id NOT IN (SELECT id FROM words_docsize)",
      (n: number) => `files that are not found by words: ${n}`,
      restore,
    ],
  ] as const
  return checks.flatMap(([sql, what, hint]) => {
    const count = Number(store.row(sql)!.count)
    return count === 0 ? [] : [{ what: what(count), hint }]
  })
}
