/** Which pictures a command is about. */
import { type Stats, stat as statOf } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { requireList } from "../../core/arguments.ts"
import { UserError } from "../../core/errors.ts"
import { mapOrdered } from "../../core/parallel.ts"
import { expandGlob, isGlob } from "../files/glob.ts"
import { readPathList, standardInput } from "../files/path-list.ts"
import { walkPictures } from "./picture-folder.ts"
import { pictureFormats } from "./picture-format.ts"

/** What a user names: paths, folders, patterns; `-` among them, and `filesFrom`, are lists of such. */
export interface NamedPictures {
  readonly paths: readonly string[]
  /** A file with a path on each line, or with a NUL after each; "-" is standard input. */
  readonly filesFrom?: string
}

/**
 * The files of all of them, in their order: a pattern gives what it matches; throws UserError where that is nothing. Folders are
 * walked as by `imageFiles`.
 *
 * @param note gets a line about each thing that was passed over in folders
 * @param input what "-" reads
 * @throws UserError where a pattern matches nothing, a folder holds no pictures, or an address is named
 */
export async function namedPictures(
  { paths, filesFrom }: NamedPictures,
  note?: (line: string) => void,
  input: AsyncIterable<Uint8Array | string> = process.stdin,
): Promise<string[]> {
  requireList(paths, "paths", "paths", 'write { paths: ["photos"] }')
  const lists: string[][] = []
  for (const word of paths) {
    requireNoAddress(word)
    if (word === standardInput) lists.push(await readPathList(word, input))
    else lists.push(isGlob(word) ? await expandGlob(word) : [word])
  }
  if (filesFrom !== undefined) lists.push(await readPathList(filesFrom, input))
  return imageFiles(lists.flat(), note)
}

/**
 * A folder gives the pictures below it (`walkPictures`); throws UserError if there are none. Every other path stays as it
 * is, whether there is such a file or not: reading it will tell.
 *
 * @param note gets a line about each thing that was passed over in folders
 */
export async function imageFiles(paths: readonly string[], note: (line: string) => void = () => {}): Promise<string[]> {
  const files: string[] = []
  for await (const { path, isFolder } of mapOrdered(paths, looksAtOnce, lookAt)) {
    if (!isFolder) files.push(path)
    else for (const file of await filesIn(path, note)) files.push(file)
  }
  return files
}

/** A list may have millions of paths, and a network disk takes a millisecond for each. */
const looksAtOnce = 64

// The function of node:fs/promises takes twice the time.
const stat: (path: string) => Promise<Stats> = promisify(statOf)

async function lookAt(path: string): Promise<{ readonly path: string; readonly isFolder: boolean }> {
  requireNoAddress(path)
  const info = await stat(path).catch(() => null)
  return { path, isFolder: info?.isDirectory() ?? false }
}

async function filesIn(folder: string, note: (line: string) => void): Promise<string[]> {
  const { pictures, notes } = await walkPictures(folder)
  requirePictures(folder, pictures, notes)
  notes.forEach(note)
  return pictures.map((name) => join(folder, name))
}

/** Pages change and disappear, and what is made of files can be made again. */
function requireNoAddress(path: string): void {
  if (/^https?:\/\//i.test(path))
    throw new UserError(`${path} is an address: pictures are not downloaded`, "download it first, and name the file")
}

/** Throws UserError where a walk found none. */
export function requirePictures(folder: string, pictures: readonly string[], notes: readonly string[]): void {
  if (pictures.length > 0) return
  const isSaid = notes.some((note) => note.includes(pictureFormats))
  throw new UserError(
    `${folder} holds no pictures`,
    [...(isSaid ? [] : [`${pictureFormats} are read`]), ...notes].join("; "),
  )
}
