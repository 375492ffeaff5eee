/** The files of a hit, which are those that the index saw last: which of them are there, and the first that can be read. */
import { existsSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { messageOf, UserError } from "../../core/errors.ts"
import type { SearchHit, SearchPage } from "../query/search-page.ts"

export interface CheckedHit extends SearchHit {
  /** Those of `paths` that are gone; they are its last ones. */
  readonly missing: readonly string[]
}

export interface CheckedPage extends SearchPage {
  readonly hits: readonly CheckedHit[]
}

/** Looks for each file: those that are there come first, so that the first path of a hit is of use. */
export function checkFiles(page: SearchPage): CheckedPage {
  return { ...page, hits: page.hits.map(checkHit) }
}

function checkHit(hit: SearchHit): CheckedHit {
  const missing = hit.paths.filter((path) => !existsSync(path))
  if (missing.length === 0) return { ...hit, missing }
  const gone = new Set(missing)
  return { ...hit, paths: [...hit.paths.filter((path) => !gone.has(path)), ...missing], missing }
}

/** With its folder: cameras number their files in each folder anew. */
export function shortName(path: string): string {
  return join(basename(dirname(path)), basename(path))
}

/** What `read` gives of the first file that it can read, or why it cannot read the first of them. */
export async function firstReadable<T>(
  paths: readonly string[],
  read: (path: string) => Promise<T>,
): Promise<{ readonly path: string; readonly value: T } | { readonly reason: string }> {
  let reason: string | null = null
  for (const path of paths) {
    try {
      return { path, value: await read(path) }
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      reason ??= reasonOf(error, path)
    }
  }
  return { reason: reason ?? "unreadable" }
}

/** The message without the path, which stands beside it. */
function reasonOf(error: UserError, path: string): string {
  const cause = error.cause as NodeJS.ErrnoException | undefined
  if (cause?.code === "ENOENT") return "missing"
  return messageOf(error).replace(path, "").trim().replace(/^is /, "") || "unreadable"
}
