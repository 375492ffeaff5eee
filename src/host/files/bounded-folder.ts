/** A folder of a cache that is kept small: a file's time says when it was used last. */
import { utimesSync } from "node:fs"
import { readdir, rm, stat } from "node:fs/promises"
import { join } from "node:path"
import { nullIfMissing } from "./files.ts"

/**
 * Removes the files that were not used for longest, until the rest has `mostBytes` or less. Throws the system's errors; a
 * folder that is not there is an empty one.
 *
 * @param isOwn whether a name is that of a file of the cache: others are left alone
 */
export async function removeUnused(folder: string, isOwn: (name: string) => boolean, mostBytes: number): Promise<void> {
  let bytes = 0
  for (const file of await newestFirst(folder, isOwn)) {
    bytes += file.bytes
    if (bytes > mostBytes) await rm(file.path, { force: true })
  }
}

async function newestFirst(folder: string, isOwn: (name: string) => boolean) {
  const files: { path: string; bytes: number; used: number }[] = []
  for (const name of ((await readdir(folder).catch(nullIfMissing)) ?? []).filter(isOwn)) {
    const path = join(folder, name)
    // Another process may make room at the same time.
    const found = await stat(path).catch(nullIfMissing)
    if (found) files.push({ path, bytes: found.size, used: found.mtimeMs })
  }
  return files.sort((a, b) => b.used - a.used)
}

/** Notes that a file was used now. A cache that cannot be written is used all the same. */
export function markUsed(path: string): void {
  const now = new Date()
  try {
    utimesSync(path, now, now)
  } catch {}
}
