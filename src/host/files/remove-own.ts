/**
 * Removal of what killed processes left, from folders where others write too. A name says nothing of whose a file is,
 * and a folder may be exchanged for another one, or for a link, while it is removed. So only what belongs to this user goes, and
 * a folder only when nobody else can change it anymore.
 */
import { constants, type Stats } from "node:fs"
import { chmod, lstat, open, readdir, rm, rmdir, unlink } from "node:fs/promises"
import { join } from "node:path"

/** Whether it is this user's. Where the system has no such numbers, everything is. */
export function isOwn({ uid }: Pick<Stats, "uid">): boolean {
  return process.getuid === undefined || uid === process.getuid()
}

/** Removes it if it, and every folder in it, is this user's; else it stays. Throws what the system says. */
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
    // On Linux the folder that was opened, whatever has its name by now.
    const inside = process.platform === "linux" ? `/proc/self/fd/${folder.fd}` : path
    if (!isOwn(await folder.stat()) || !(await seal(inside))) return
    for (const name of await readdir(inside)) await rm(join(inside, name), { recursive: true, force: true })
  } finally {
    await folder.close()
  }
  await rmdir(path)
}

/** From outside to inside, so that each is looked at where nobody else writes. False where a folder is another user's. */
async function seal(folder: string): Promise<boolean> {
  await chmod(folder, 0o700)
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue
    const path = join(folder, entry.name)
    if (!isOwn(await lstat(path)) || !(await seal(path))) return false
  }
  return true
}
