/**
 * Removes what killed processes left from folders where other users write too. A name does not tell who owns a file, and a
 * folder may be exchanged for another one, or for a link, while it is removed. So only what belongs to this user is
 * removed, and a folder only when no other user can change it any more.
 */
import { constants, type Stats } from "node:fs"
import { chmod, lstat, open, readdir, rm, rmdir, unlink } from "node:fs/promises"
import { join } from "node:path"

/** Whether a file belongs to this user. Where the system has no user ids, all files do. */
export function isOwn({ uid }: Pick<Stats, "uid">): boolean {
  return process.getuid === undefined || uid === process.getuid()
}

/** Removes a file or folder if it, and every folder in it, belongs to this user; else it stays. Throws the system's errors. */
export async function removeOwn(path: string): Promise<void> {
  const found = await lstat(path)
  if (!isOwn(found)) return
  if (!found.isDirectory()) await unlink(path)
  else if (process.getuid) await removeFolder(path)
  else await rm(path, { recursive: true, force: true })
}

async function removeFolder(path: string): Promise<void> {
  const folder = await open(path, constants.O_RDONLY | (constants.O_DIRECTORY ?? 0) | (constants.O_NOFOLLOW ?? 0))
  try {
    // On Linux this is the folder that was opened, even if another one has its name by now.
    const inside = process.platform === "linux" ? `/proc/self/fd/${folder.fd}` : path
    if (!isOwn(await folder.stat()) || !(await seal(inside))) return
    for (const name of await readdir(inside)) await rm(join(inside, name), { recursive: true, force: true })
  } finally {
    await folder.close()
  }
  await rmdir(path)
}

/** Closes folders to other users, from outside to inside, so that each is checked where only this user writes. False where one belongs to another user. */
async function seal(folder: string): Promise<boolean> {
  await chmod(folder, 0o700)
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue
    const path = join(folder, entry.name)
    if (!isOwn(await lstat(path)) || !(await seal(path))) return false
  }
  return true
}
