/** Which file has the bytes of a content now: one whose size and time are those of the index, or else whose hash is. */
import { type Stats, statSync } from "node:fs"
import { join } from "node:path"
import { messageOf, UserError } from "../../core/errors.ts"
import { sha256OfFile } from "../../host/files/hash.ts"
import type { Row } from "../store/database.ts"
import type { IndexStore } from "../store/index-store.ts"

/** Row p of the vectors, and where its picture is or why it is nowhere. */
export type Located = { readonly row: number } & ({ readonly path: string } | { readonly reason: string })

/** Without any file it is no part of the index any more, and null. */
export async function locate(store: IndexStore, row: number): Promise<Located | null> {
  const files = store.rows(
    `SELECT roots.path AS root, files.path AS path, size, mtime, bytes, hex(hash) AS hash
     FROM files JOIN roots ON roots.id = root JOIN contents ON contents.id = content WHERE content = ? ORDER BY files.id`,
    row + 1,
  )
  const reasons: string[] = []
  for (const file of files) {
    const path = join(file.root as string, file.path as string)
    const reason = await faultOf(path, file)
    if (reason === null) return { row, path }
    reasons.push(`${path}: ${reason}`)
  }
  return reasons.length === 0 ? null : { row, reason: reasons[0]! }
}

/** Null: the file has the content. */
async function faultOf(path: string, file: Row): Promise<string | null> {
  try {
    const stats: Stats = statSync(path)
    if (stats.size === Number(file.size) && stats.mtimeMs === Number(file.mtime)) return null
    const isSame = stats.size === Number(file.bytes) && (await sha256OfFile(path)).toUpperCase() === file.hash
    return isSame ? null : "its bytes are others now than those that were indexed"
  } catch (error) {
    if (error instanceof UserError) return error.message
    const { code } = error as NodeJS.ErrnoException
    if (code === "ENOENT" || code === "ENOTDIR") return "it is gone"
    if (code !== undefined) return `it cannot be read (${messageOf(error)})`
    throw error
  }
}
