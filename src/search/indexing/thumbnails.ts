/**
 * Small pictures in an index's folder, for programs that show results: `thumbnails/ab/<SHA-256>.webp`, 256 pixels at most on a side,
 * turned as the camera noted. They are made where they are asked for, and go with the pictures that they are of.
 */
import { existsSync, readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { asUserError, EnvironmentError } from "../../core/errors.ts"
import { forEachConcurrently } from "../../core/parallel.ts"
import { noProgress, type StartProgress } from "../../core/progress.ts"
import { makeDirectory, writeAtomically } from "../../host/files/files.ts"
import { thumbnail } from "../../host/image/thumbnail.ts"
import { usableProcessors } from "../../host/processors.ts"
import { locate } from "../migrate/locate.ts"
import type { IndexStore } from "../store/index-store.ts"
import { IndexWriter } from "../store/index-writer.ts"
import { thumbnailPath } from "../store/thumbnail-path.ts"

export interface ThumbnailsOptions {
  readonly threads?: number | undefined
  readonly signal?: AbortSignal | undefined
  readonly startProgress?: StartProgress | undefined
}

export interface ThumbnailsResult {
  readonly made: number
  readonly known: number
  /** Pictures whose file is gone, or cannot be read any more. */
  readonly failed: number
}

/** Their longer side, in pixels. */
export const thumbnailSide = 256

/**
 * Makes those that lack; what is there is complete. Throws UserError where the index is in use, or cannot be written; the
 * signal's reason.
 */
export async function makeThumbnails(folder: string, options: ThumbnailsOptions = {}): Promise<ThumbnailsResult> {
  const { threads = usableProcessors().count, signal, startProgress = noProgress } = options
  using writer = await IndexWriter.open(folder, "mobileclip index --thumbnails", signal)
  const { store } = writer
  const all = store.rows("SELECT id, hex(hash) AS hash FROM contents WHERE copies > 0 ORDER BY id")
  const missing = all.filter(({ hash }) => !existsSync(thumbnailPath(store.folder, hash as string)))
  const counts = { made: 0, known: all.length - missing.length, failed: 0 }
  if (missing.length === 0) return counts
  const progress = startProgress("thumbnails", missing.length, { unit: "pictures" })
  await forEachConcurrently(missing, threads, async ({ id, hash }) => {
    signal?.throwIfAborted()
    const isMade = await make(store, Number(id), thumbnailPath(store.folder, hash as string))
    counts[isMade ? "made" : "failed"]++
    progress.update(counts.made + counts.failed)
  })
  progress.done()
  return counts
}

/** Those of pictures that the index does not have any more. */
export function removeStrayThumbnails(store: IndexStore): number {
  const folder = join(store.folder, "thumbnails")
  if (!existsSync(folder)) return 0
  let removed = 0
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    const hash = /([0-9a-f]{64})\.webp$/.exec(name)?.[1]
    if (hash === undefined) continue
    const sql = "SELECT 1 AS found FROM contents WHERE hash = ? AND copies > 0"
    if (store.row(sql, Buffer.from(hash, "hex")) !== undefined) continue
    rmSync(join(folder, name), { force: true })
    removed++
  }
  return removed
}

/** False where the picture's file is gone, or cannot be read. Throws EnvironmentError where it cannot be written. */
async function make(store: IndexStore, id: number, path: string): Promise<boolean> {
  const found = await locate(store, id - 1)
  if (found === null || !("path" in found)) return false
  let bytes: Buffer
  try {
    bytes = await thumbnail(found.path, { side: thumbnailSide, format: "webp" })
  } catch (error) {
    if (asUserError(error) instanceof EnvironmentError && !existsSync(found.path)) throw error
    return false
  }
  await makeDirectory(join(path, ".."))
  await writeAtomically(path, [bytes])
  return true
}
