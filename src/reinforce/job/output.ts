/**
 * Where a shard of a job is written: inside of the job's output, and never where the job keeps its records. Whoever may
 * publish tasks names outputs, so they are checked when a job is planned and published, when a worker takes a task, and,
 * because links may change, once more when the shard is written. A folder of this machine belongs to one process at a time.
 */
import { lstat, readlink, realpath } from "node:fs/promises"
import { basename, dirname, join, relative, resolve, sep } from "node:path"
import { messageOf, oneLine, quoted, UserError } from "../../core/errors.ts"
import { requireInside } from "../../core/inside.ts"
import { shardLikeLists } from "../../data/reinforced/tar/side-files.ts"
import { pathOf } from "../../data/stores/local.ts"
import { isLocal } from "../../data/stores/open.ts"
import type { Chunks, Storage, TransferOptions, Written } from "../../data/stores/storage.ts"
import { type Lock, lockFolder } from "../../host/locks/lock.ts"
import type { ShardTask } from "../runner.ts"

/** What lies there beside the shards: the ledger, and the files that say what came out. */
function isReserved(name: string): boolean {
  return /^_done\//i.test(name) || shardLikeLists.includes(name.toLowerCase())
}

const shardName = /\.(tar|jsonl)$/i

export function joinUrl(folder: string, name: string): string {
  return `${folder.replace(/\/+$/, "")}/${name}`
}

/** The part of a task's output after the folder of the job. */
export function outputName(task: Pick<ShardTask, "output">, folder: string): string {
  return task.output.slice(joinUrl(folder, "").length)
}

/**
 * @param output URL of a shard
 * @param folder URL of the job's output
 * @throws UserError where the output could be outside of the folder, or is not that of a shard
 */
export function requireOutput(output: string, folder: string, hint?: string): void {
  const name = placeIn(folder, output)
  const isHidden = name.split("/").some((part) => part.startsWith("."))
  if (shardName.test(name) && !isReserved(name) && !isHidden) return
  throw new UserError(
    `the output ${quoted(output)} is not a shard's: a name ends in .tar or .jsonl, is not hidden, and not one of the job's records`,
    hint,
  )
}

/** The name in the folder under which the file really is: of files by their path, elsewhere as stores may decode it. */
function placeIn(folder: string, output: string): string {
  const begin = joinUrl(folder, "")
  if (!output.startsWith(begin)) {
    throw new UserError(`the output ${quoted(output)} is not inside of ${quoted(folder)}, the job's output`)
  }
  const text = requireInside(output.slice(begin.length), "the task")
  if (/[?#]/.test(text)) throw new UserError(`the output ${quoted(output)} has a "?" or "#", where some URLs end`)
  const decoded = requireInside(decodedLetters(text), "the task")
  return isLocal(output) ? requireInside(nameByPath(output, folder), "the task") : decoded
}

/** Letters of ASCII, where everything is that leads anywhere; what else stands in percents may be of any encoding. */
function decodedLetters(text: string): string {
  return text.replace(/%([0-7][0-9a-f])/gi, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)))
}

function nameByPath(output: string, folder: string): string {
  try {
    return relative(resolve(pathOf(folder)), resolve(pathOf(output))).replaceAll(sep, "/")
  } catch (error) {
    throw new UserError(`the output ${quoted(output)} is not a path: ${oneLine(messageOf(error))}`)
  }
}

/**
 * The lock of a job's output: a folder of this machine belongs to one process, and stores have no processes to ask for.
 * Null where the output is in a store.
 *
 * @throws UserError where another process has it
 */
export async function lockOutput(output: string, command: string, signal?: AbortSignal): Promise<Lock | null> {
  return isLocal(output) ? lockFolder(pathOf(output), `mobileclip reinforce ${command}`, signal) : null
}

/** @throws UserError where a link, at this moment, leads a file of the folder out of it */
export async function requireNotLinkedOut(output: string, folder: string): Promise<void> {
  if (!isLocal(output)) return
  const [place, home] = await Promise.all([resolveRealPath(dirname(pathOf(output))), resolveRealPath(pathOf(folder))])
  if (isAtOrBelow(place, home)) return
  throw new UserError(
    `the output ${quoted(output)} is not inside of ${quoted(folder)}, the job's output: a link leads to ${quoted(place)}`,
    "a link at the job's output itself is followed, one inside of it is not",
  )
}

/**
 * What the owner of a machine allows a job to write: folders and URLs, in which the job's output must be.
 *
 * @param output URL of the job's output
 * @param roots none: everything is allowed
 * @throws UserError where the output is in none of them
 */
export async function requireInRoots(output: string, roots: readonly string[]): Promise<void> {
  if (roots.length === 0) return
  for (const root of roots) if (await isIn(output, root)) return
  throw new UserError(
    `the job writes to ${quoted(output)}, which is not inside of ${roots.map(quoted).join(" or ")} (--output-root)`,
    "start the worker with another --output-root if the job is to be trusted",
  )
}

async function isIn(output: string, root: string): Promise<boolean> {
  if (!isLocal(output) || !isLocal(root)) return isBelow(output, root)
  const [place, allowed] = await Promise.all([resolveRealPath(pathOf(output)), resolveRealPath(pathOf(root))])
  return isAtOrBelow(place, allowed)
}

/** By their text: a store may take ".." for a part of a name or not, so that no name may have it. */
function isBelow(output: string, root: string): boolean {
  const [place, allowed] = [output, root].map((url) => url.replace(/\/+$/, "")) as [string, string]
  if (place === allowed) return true
  if (!place.startsWith(`${allowed}/`)) return false
  try {
    requireInside(decodeURIComponent(place.slice(allowed.length + 1)), "the job")
    return true
  } catch {
    return false
  }
}

/** The file of a shard, written and removed only where it is inside of its job's output. */
export class ShardOutput {
  constructor(
    private readonly storage: Storage,
    private readonly url: string,
    /** URL of the job's output. */
    private readonly folder: string,
  ) {}

  /** @throws UserError where a link leads out of the output, and like the storage */
  async put(chunks: Chunks, options?: TransferOptions): Promise<Written> {
    await this.check()
    return this.storage.put(this.url, this.checkedAtTheEnd(chunks), options)
  }

  async remove(): Promise<void> {
    await this.check()
    await this.storage.remove(this.url)
  }

  /** Files are renamed to their names after the last bytes, which may come long after the first. */
  private async *checkedAtTheEnd(chunks: Chunks): AsyncGenerator<Uint8Array> {
    yield* chunks
    await this.check()
  }

  private async check(): Promise<void> {
    requireOutput(this.url, this.folder)
    await requireNotLinkedOut(this.url, this.folder)
  }
}

/** How many broken links in a row are followed. */
const mostLinks = 8

/**
 * The absolute path without symbolic links, as far as it exists; a link to what does not exist leads there.
 * @throws UserError where it cannot be looked up
 */
async function resolveRealPath(path: string, links = mostLinks): Promise<string> {
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
function isAtOrBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : `${folder}${sep}`)
}
