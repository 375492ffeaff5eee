/** Folders that disks are mounted at: their content may change, and they themselves can neither be moved nor replaced. */
import { lstat, readFile } from "node:fs/promises"
import { dirname } from "node:path"

/** @param folder a real path of a folder that is there */
export async function isMountPoint(folder: string): Promise<boolean> {
  // Only the list tells of a folder that is mounted from the same disk, as containers have it.
  const list = await readFile("/proc/self/mountinfo", "utf8").catch(() => null)
  if (list !== null) return mountPointsIn(list).includes(folder)
  const [own, around] = await Promise.all([lstat(folder), lstat(dirname(folder))])
  return own.dev !== around.dev
}

/** Of Linux's list, where the fifth word of a line is the place, with blanks as "\\040". */
export function mountPointsIn(list: string): string[] {
  return list
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .map((place) => place.replace(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 8))))
    .filter((place) => place !== "")
}
