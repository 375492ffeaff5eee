/** Where a path really leads, also before anything exists there. */
import { lstat, readlink, realpath } from "node:fs/promises"
import { basename, dirname, join, resolve, sep } from "node:path"
import { UserError } from "../../core/errors.ts"

/** How many broken links in a row are followed. */
const mostLinks = 8

/**
 * The absolute path without symbolic links, as far as it exists; a link to what does not exist leads there.
 * @throws UserError where it cannot be looked up
 */
export async function resolveRealPath(path: string, links = mostLinks): Promise<string> {
  const absolute = resolve(path)
  try {
    return await realpath(absolute)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const parent = dirname(absolute)
    if (code !== "ENOENT" || parent === absolute || links === 0) {
      throw new UserError(`${absolute} cannot be looked up (${code})`)
    }
    const isLink = await lstat(absolute).then(
      (found) => found.isSymbolicLink(),
      () => false,
    )
    if (isLink) return resolveRealPath(resolve(parent, await readlink(absolute)), links - 1)
    return join(await resolveRealPath(parent, links), basename(absolute))
  }
}

/** Whether an absolute path is a folder itself or something below it. */
export function isAtOrBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : `${folder}${sep}`)
}
