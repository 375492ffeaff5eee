/**
 * Files in Node: output that appears whole or not at all, ranged reads, and errors of the system in one line.
 * Whatever is written goes to a hidden staging file first and is renamed when it is complete and on the disk.
 */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  open as openWith,
  readFile as readFileWith,
  read as readWith,
  type Stats,
} from "node:fs"
import { access, lstat, mkdir, open, readlink, realpath, rename, rm, stat, writeFile } from "node:fs/promises"
import { dirname, resolve } from "node:path"
import { promisify } from "node:util"
import { messageOf, UserError } from "../../core/errors.ts"
import type { RandomAccess } from "../../core/random-access.ts"
import { decodeText } from "../../core/text/decode-text.ts"
import { fileError } from "./file-error.ts"
import { mostAtOnce, readAt, readWithoutBlocking } from "./read-at.ts"
import { removeAbandonedOnce, stagingPath } from "./staging.ts"

type Chunk = Uint8Array | string

/**
 * Writes a file, replacing an old one. On any failure the old file is untouched and nothing else is left; failures of
 * the system (disk full, no permission, ...) are UserErrors. The folder must exist.
 */
export async function writeAtomically(path: string, chunks: Iterable<Chunk> | AsyncIterable<Chunk>): Promise<void> {
  const temporary = stagingPath(path)
  try {
    await removeAbandonedOnce(dirname(temporary))
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

/** Creates a folder and its parents where they do not exist yet. */
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

/** Before long work that ends with a file: makes its folder. Throws UserError where the file could not be written. */
export async function prepareFile(path: string): Promise<void> {
  const found = await stat(path).catch(() => null)
  if (found?.isDirectory()) throw new UserError(`${path} is a folder, and a file is to be written`, "name a file in it")
  const folder = dirname(resolve(path))
  // A rename would put a file in the place of the device.
  if ((found && !found.isFile()) || folder === "/dev") {
    throw new UserError(`${path} is a pipe, a socket or a device, and a file is to be written`, "name another one")
  }
  await makeDirectory(folder)
  await access(folder, constants.W_OK).catch((error: unknown) => {
    throw fileError(error, "writing", path)
  })
}

export async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.isDirectory() === true
}

/** Closed when it is disposed of, or by `close`, once. */
export interface OpenFile extends RandomAccess, Disposable {
  close(): void
}

/** Opens a file for reads anywhere in it. Throws UserError if it cannot be opened, or ends before what is asked. */
export function openRandomAccess(path: string): OpenFile {
  try {
    const descriptor = openSync(path, readWithoutBlocking)
    try {
      const { size } = requireRegular(fstatSync(descriptor), path)
      const readInto = (offset: number, bytes: Uint8Array) => readAt(descriptor, path, offset, bytes)
      const read = (offset: number, length: number) => {
        const bytes = new Uint8Array(length)
        readInto(offset, bytes)
        return bytes
      }
      const close = () => closeSync(descriptor)
      return { name: path, size, read, readInto, close, [Symbol.dispose]: close }
    } catch (error) {
      closeSync(descriptor)
      throw error
    }
  } catch (error) {
    throw openError(error, path)
  }
}

/**
 * The whole file. Failures of the system, a folder and a pipe are UserErrors.
 *
 * @param checkSize is given the bytes there are before they are read, and throws where they are too many
 */
export async function readBytes(path: string, checkSize?: (bytes: number) => void): Promise<Uint8Array> {
  try {
    const file = await openDescriptor(path, readWithoutBlocking)
    try {
      // No disk is waited for here, nor to close it, and a way to a thread and back takes longer.
      const { size } = requireRegular(fstatSync(file), path)
      checkSize?.(size)
      return await readWhole(file, size)
    } finally {
      closeSync(file)
    }
  } catch (error) {
    throw openError(error, path)
  }
}

// Those of node:fs/promises take twice the time.
const openDescriptor = promisify(openWith)
const readInto = promisify(readWith)
const readDescriptor = promisify(readFileWith)

async function readWhole(file: number, size: number): Promise<Uint8Array> {
  // Files of the system may say that they are empty.
  if (size === 0 || size > mostAtOnce) return readDescriptor(file)
  const bytes = Buffer.allocUnsafeSlow(size)
  let done = 0
  while (done < size) {
    const { bytesRead } = await readInto(file, bytes, done, size - done, done)
    if (bytesRead === 0) return bytes.subarray(0, done)
    done += bytesRead
  }
  return bytes
}

/** A check for `readBytes`: throws UserError where the file has more than `mostBytes`. */
export function requireSmall(path: string, mostBytes: number): (bytes: number) => void {
  return (bytes) => {
    if (bytes > mostBytes) throw new UserError(`${path} has ${bytes} bytes, and at most ${mostBytes} are expected`)
  }
}

/** The whole file, or null where it does not exist. */
export async function readBytesIfThere(path: string, checkSize?: (bytes: number) => void): Promise<Uint8Array | null> {
  try {
    return await readBytes(path, checkSize)
  } catch (error) {
    if (error instanceof UserError && codeOf(error.cause) === "ENOENT") return null
    throw error
  }
}

/** Before a file that somebody named is read as a stream. Throws UserError where it is a folder, a pipe or a device. */
export async function requireFile(path: string): Promise<void> {
  const found = await stat(path).catch((error: unknown) => {
    throw fileError(error, "reading", path)
  })
  requireRegular(found, path)
}

function requireRegular(found: Stats, path: string): Stats {
  if (found.isFile()) return found
  throw found.isDirectory() ? new UserError(`${path} is a folder, and a file was expected`) : notAFile(path)
}

/** A socket cannot be opened: the system says ENXIO. */
function openError(error: unknown, path: string): unknown {
  return codeOf(error) === "ENXIO" ? notAFile(path) : fileError(error, "reading", path)
}

function notAFile(path: string): UserError {
  return new UserError(
    `${path} is a pipe, a socket or a device, and a file was expected`,
    "write its content to a file first",
  )
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code
}

/** Bytes of a JSON file. The largest one known takes 4 MB, and JSON takes 20 times its bytes in memory. */
const largestJson = 2 ** 26

/**
 * Throws UserError on what is not JSON, or more than 64 MiB.
 *
 * @param what the file is expected to be, for the message: "a model's manifest"
 */
export async function readJson(path: string, what: string): Promise<unknown> {
  const checkSize = (bytes: number) => {
    if (bytes > largestJson) throw new UserError(`${path} should be ${what}, but has ${bytes} bytes`)
  }
  const text = decodeText(await readBytes(path, checkSize), path)
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new UserError(
      `${path} should be ${what}, but is not JSON: ${messageOf(error).replaceAll(/\s+/g, " ")}`,
      "it is damaged or cut off: get or make it again",
    )
  }
}

/** The absolute path where this folder is, or would be made: a link is followed. Throws UserError where that cannot be found out. */
export async function resolveLink(path: string): Promise<string> {
  const absolute = resolve(path)
  try {
    const found = await lstat(absolute).catch(nullIfMissing)
    if (!found?.isSymbolicLink()) return absolute
    // It may lead to a folder that is not there yet.
    return (await realpath(absolute).catch(nullIfMissing)) ?? resolve(dirname(absolute), await readlink(absolute))
  } catch (error) {
    throw fileError(error, "writing", path)
  }
}

/** For `catch`: null where the path does not exist; throws every other error. */
export function nullIfMissing(error: NodeJS.ErrnoException): null {
  if (error.code === "ENOENT") return null
  throw error
}

/** Removes what can be removed and never throws, because the error that led here is the one to report. */
export async function discard(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true }).catch(() => {})
}

/** Waits until a file, or the list of files in a folder, is on the disk. */
export async function sync(path: string): Promise<void> {
  const handle = await open(path, "r")
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
