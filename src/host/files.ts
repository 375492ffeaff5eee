/**
 * Files in Node: output that appears whole or not at all, ranged reads, and errors of the system said in a line.
 * Whatever is written goes to a hidden neighbour first and is renamed when it is complete and on the disk.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs"
import { access, mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises"
import { dirname, join, resolve } from "node:path"
import { messageOf, UserError } from "../core/errors.ts"
import type { RandomAccess } from "../core/safetensors.ts"
import { fileError } from "./file-error.ts"
import { neighbour } from "./neighbour.ts"

type Chunk = Uint8Array | string

/**
 * Writes a file, replacing an old one. On any failure the old file is untouched and nothing else is left; failures of
 * the system (disk full, no permission, ...) are UserErrors. The folder must exist.
 */
export async function writeAtomically(path: string, chunks: Iterable<Chunk> | AsyncIterable<Chunk>): Promise<void> {
  const temporary = neighbour(path)
  try {
    const file = await open(temporary, "wx")
    try {
      await writeFile(file, chunks)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
    await sync(dirname(resolve(path)))
  } catch (error) {
    await discard(temporary)
    throw fileError(error, "writing", path)
  }
}

/** Creates a folder and those around it, where they are not there yet. */
export async function makeDirectory(path: string): Promise<void> {
  try {
    await makeWithParents(resolve(path))
  } catch (error) {
    throw fileError(error, "writing", path)
  }
}

/** Node's own `recursive` never returns where a folder exists but takes no new ones and calls that ENOENT (/proc). */
async function makeWithParents(path: string): Promise<void> {
  const make = async () => {
    if (await isDirectory(path)) return
    // Another process may make it in between.
    await mkdir(path).catch(async (error) => {
      if (!(await isDirectory(path))) throw error
    })
  }
  try {
    await make()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" || dirname(path) === path) throw error
    await makeWithParents(dirname(path))
    await make()
  }
}

async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.isDirectory() === true
}

/**
 * Builds a folder: `build` fills the folder it is given, which then takes the place of `path`. On any failure an old
 * folder is untouched and nothing else is left. Between two renames, no other way being portable, neither is there.
 *
 * @param marker a file that every folder of this kind has; another folder with content is refused, not replaced
 */
export async function writeDirectoryAtomically<T>(
  path: string,
  build: (folder: string) => Promise<T>,
  marker?: string,
): Promise<T> {
  const temporary = neighbour(path)
  try {
    await checkReplaceable(path, marker)
    await mkdir(temporary)
    const result = await build(temporary)
    await syncTree(temporary)
    await replaceDirectory(temporary, path)
    await sync(dirname(resolve(path)))
    return result
  } catch (error) {
    await discard(temporary)
    throw fileError(error, "writing", path)
  }
}

export interface OpenFile extends RandomAccess {
  close(): void
}

/** Opens a file for reads anywhere in it. Throws UserError if it cannot be opened, or ends before what is asked. */
export function openRandomAccess(path: string): OpenFile {
  try {
    const descriptor = openSync(path, "r")
    const stat = fstatSync(descriptor)
    if (!stat.isFile()) throw new UserError(`${path} is not a file`)
    const read = (offset: number, length: number) => readExactly(descriptor, path, offset, length)
    return { name: path, size: stat.size, read, close: () => closeSync(descriptor) }
  } catch (error) {
    throw fileError(error, "reading", path)
  }
}

/** The whole file. Failures of the system are UserErrors. */
export async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path)
  } catch (error) {
    throw fileError(error, "reading", path)
  }
}

/** A configuration, a tokenizer, a list: the largest one that is read takes 4 MB, and JSON 20 times its bytes in memory. */
const largestJson = 2 ** 26

/**
 * Throws UserError on what is not JSON, or more than 64 MiB.
 *
 * @param what the file is expected to be, for the message: "a model's manifest"
 */
export async function readJson(path: string, what: string): Promise<unknown> {
  const size = await sizeOf(path)
  if (size > largestJson) throw new UserError(`${path} should be ${what}, but has ${size} bytes`)
  const text = new TextDecoder().decode(await readBytes(path))
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new UserError(`${path} should be ${what}, but is not JSON: ${messageOf(error).replaceAll(/\s+/g, " ")}`)
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size
  } catch (error) {
    throw fileError(error, "reading", path)
  }
}

function readExactly(descriptor: number, path: string, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let done = 0; done < length; ) {
    // A single read of 2 GiB or more is refused by the system.
    const count = readSync(descriptor, bytes, done, Math.min(length - done, 2 ** 30), offset + done)
    if (count === 0) throw new UserError(`${path} ends at byte ${offset + done}, before byte ${offset + length}`)
    done += count
  }
  return bytes
}

/** Throws where there is a file, or a folder with content that is not of this kind. */
export async function checkReplaceable(path: string, marker?: string): Promise<void> {
  if (!(await exists(path))) return
  const content = await readdir(path).catch((error: unknown) => {
    throw fileError(error, "writing", path)
  })
  if (marker === undefined || content.length === 0 || content.includes(marker)) return
  throw new UserError(
    `${path} has other content (${content[0]}, no ${marker}) and is not replaced`,
    "choose another folder, or empty this one",
  )
}

async function replaceDirectory(from: string, to: string): Promise<void> {
  if (!(await exists(to))) return rename(from, to)
  const old = neighbour(to)
  await rename(to, old)
  try {
    await rename(from, to)
  } catch (error) {
    await rename(old, to)
    throw error
  }
  await rm(old, { recursive: true })
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

/** Best effort, because the error that led here is the one to report. */
async function discard(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true }).catch(() => {})
}

async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile() || entry.isDirectory()) await sync(join(entry.parentPath, entry.name))
  }
  await sync(folder)
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, "r")
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
