/**
 * Folders in Node that appear whole or not at all: built under a hidden name, which then takes the place of an old one.
 * An old one is replaced only where everything in it was written in the same way.
 */
import { lstat, mkdir, readdir, readFile, realpath, rename } from "node:fs/promises"
import { dirname, join, relative, sep } from "node:path"
import { oneLine, UserError } from "../../core/errors.ts"
import { requireUnlocked } from "../locks/lock.ts"
import { lockName } from "../locks/lock-file.ts"
import { fileError } from "./file-error.ts"
import { discard, nullIfMissing, resolveLink, sync } from "./files.ts"
import { removeAbandoned, removeAbandonedOnce, stagingPath } from "./staging.ts"
import { isSystemFile } from "./system-files.ts"

/**
 * The files that a folder may lose when it is replaced, as paths in it with "/", found by its content. All other files
 * belong to somebody else.
 */
type OwnFiles = (folder: string) => Promise<readonly string[]>

/**
 * Builds a folder: `build` fills the folder it is given, which then takes the place of `path`; a link stays, and what it
 * leads to is replaced. On any failure an old folder is untouched and nothing else is left. Between two renames, which
 * are the only portable way, neither exists: after a kill at that moment the old one comes back with the next write.
 *
 * @throws UserError, before anything is built, where `path` has content that is not `ownFiles`, or cannot be moved away
 */
export async function writeDirectoryAtomically<T>(
  path: string,
  build: (folder: string) => Promise<T>,
  ownFiles: OwnFiles,
): Promise<T> {
  try {
    const place = await resolveLink(path)
    await removeAbandonedOnce(dirname(place))
    await requireReplaceable(place, ownFiles, path)
    const temporary = stagingPath(place)
    try {
      await mkdir(temporary)
      const result = await build(temporary)
      await syncTree(temporary)
      await replaceDirectory(temporary, place, (old) => requireReplaceable(old, ownFiles, path))
      await sync(dirname(place))
      return result
    } catch (error) {
      await discard(temporary)
      throw error
    }
  } catch (error) {
    throw fileError(error, "writing", path)
  }
}

/** Throws UserError where a file is in the way, or a folder that is in use, has other content or must stay. */
export async function checkReplaceable(path: string, ownFiles: OwnFiles): Promise<void> {
  try {
    await requireReplaceable(await resolveLink(path), ownFiles, path)
  } catch (error) {
    throw fileError(error, "writing", path)
  }
}

/** @param name the folder as the user knows it */
async function requireReplaceable(folder: string, ownFiles: OwnFiles, name: string): Promise<void> {
  const found = await lstat(folder).catch(nullIfMissing)
  if (!found) return
  if (found.isDirectory()) await requireMovable(folder, name)
  const content = (await readdir(folder)).filter((entry) => entry !== lockName)
  await requireUnlocked(folder)
  if (content.length === 0) return
  const foreign = await foreignIn(folder, contentOf(await ownFiles(folder)))
  if (foreign.length === 0) return
  throw new UserError(
    `${name} has other content (${listed(foreign)}) and is not replaced`,
    "move that to another folder, or choose another one to write to",
  )
}

/** A shell that works in the folder would stay in the old one, which is removed. */
async function requireMovable(folder: string, name: string): Promise<void> {
  const real = await realpath(folder)
  const hint = "write to a folder in it, or choose another one to write to"
  if (await isMountPoint(real)) throw new UserError(`${name} is a mount point and cannot be replaced`, hint)
  const current = await currentFolder()
  const below = current === null ? ".." : relative(real, current)
  if (below === "") throw new UserError(`${name} is the folder you are in and is not replaced`, hint)
  if (below === ".." || below.startsWith(`..${sep}`)) return
  throw new UserError(`${name} has the folder you are in (${oneLine(below)}) and is not replaced`, hint)
}

/**
 * Whether a disk is mounted at a folder, which can then neither be moved nor replaced.
 *
 * @param folder the real path of a folder that exists
 */
export async function isMountPoint(folder: string): Promise<boolean> {
  // Only this list shows a folder that is mounted from the same disk, as in containers.
  const list = await readFile("/proc/self/mountinfo", "utf8").catch(() => null)
  if (list !== null) return mountPointsIn(list).includes(folder)
  const [own, around] = await Promise.all([lstat(folder), lstat(dirname(folder))])
  return own.dev !== around.dev
}

/** The folders in Linux's list of mounts: the fifth word of each line, with blanks as "\\040". */
export function mountPointsIn(list: string): string[] {
  return list
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .map((place) => place.replace(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 8))))
    .filter((place) => place !== "")
}

/** Null where it was removed already. */
async function currentFolder(): Promise<string | null> {
  try {
    return await realpath(process.cwd())
  } catch (error) {
    return nullIfMissing(error as NodeJS.ErrnoException)
  }
}

/** Files, and the folders that they are in. */
interface Content {
  readonly files: ReadonlySet<string>
  readonly folders: ReadonlySet<string>
}

function contentOf(files: readonly string[]): Content {
  const folders = files.flatMap((file) => [...file.matchAll(/\//g)].map(({ index }) => file.slice(0, index)))
  return { files: new Set(files), folders: new Set(folders) }
}

/** Paths that are not among `own`, sorted. A folder without any own file is named as a whole. */
async function foreignIn(folder: string, own: Content, below = ""): Promise<string[]> {
  const found: string[] = []
  await removeAbandoned(join(folder, below))
  for (const entry of await readdir(join(folder, below), { withFileTypes: true })) {
    const name = below + entry.name
    if (entry.isDirectory()) {
      if (own.folders.has(name)) found.push(...(await foreignIn(folder, own, `${name}/`)))
      else found.push(`${name}/`)
    } else if (!own.files.has(name) && name !== lockName && !isSystemFile(entry.name)) found.push(name)
  }
  return found.sort()
}

const mostNames = 5

/** Which of `names` are in a folder, broken links included. None where the path leads through a file. */
export async function namesIn(folder: string, names: readonly string[]): Promise<string[]> {
  const found = await Promise.all(
    names.map((name) =>
      lstat(join(folder, name)).catch((error) => (error.code === "ENOTDIR" ? null : nullIfMissing(error))),
    ),
  )
  return names.filter((_, i) => found[i] !== null)
}

/** Names for a message: the first five, and how many more there are. */
export function listed(names: readonly string[]): string {
  const shown = names.slice(0, mostNames).map((name) => oneLine(name))
  return names.length > mostNames ? `${shown.join(", ")} and ${names.length - mostNames} more` : shown.join(", ")
}

/** Another process may do the same: the result of the last one stays. */
async function replaceDirectory(from: string, to: string, check: (old: string) => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const old = await moveAway(to)
    try {
      // It has a hidden name now, so nothing new can appear in it.
      if (old !== null) await check(old)
      await rename(from, to)
    } catch (error) {
      const { code = "" } = error as NodeJS.ErrnoException
      const isTaken = code === "ENOTEMPTY" || code === "EEXIST"
      if (old !== null && isTaken) await discardOld(old, to)
      else if (old !== null) await rename(old, to)
      if (isTaken && attempt < 10) continue
      throw error
    }
    if (old !== null) await discardOld(old, to)
    return
  }
}

async function moveAway(path: string): Promise<string | null> {
  const old = stagingPath(path, "old")
  try {
    await rename(path, old)
    return old
  } catch (error) {
    return nullIfMissing(error as NodeJS.ErrnoException)
  }
}

/** First renames it so that it does not come back after a kill: half of a folder is worse than none. */
async function discardOld(old: string, place: string): Promise<void> {
  const rest = stagingPath(place)
  await rename(old, rest)
  await discard(rest)
}

async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile() || entry.isDirectory()) await sync(join(entry.parentPath, entry.name))
  }
  await sync(folder)
}
