/** Which pictures a command is about. */
import { readdir, stat } from "node:fs/promises"
import { join } from "node:path"
import { UserError } from "../core/errors.ts"

const pictureName = /\.(jpe?g|png|webp|avif|tiff?|gif)$/i

/**
 * A folder gives the pictures below it (by extension), in order of their paths; throws UserError if there are none.
 * Every other path stays as it is, whether there is such a file or not: who reads it tells.
 */
export async function imageFiles(paths: readonly string[]): Promise<string[]> {
  const lists = await Promise.all(paths.map(filesOf))
  return lists.flat()
}

async function filesOf(path: string): Promise<string[]> {
  const info = await stat(path).catch(() => null)
  if (!info?.isDirectory()) return [path]
  const names = await readdir(path, { recursive: true })
  const pictures = names.filter((name) => pictureName.test(name)).sort()
  if (pictures.length === 0) throw new UserError(`${path} holds no pictures`, "JPEG, PNG, WebP, AVIF, TIFF and GIF are")
  return pictures.map((name) => join(path, name))
}
