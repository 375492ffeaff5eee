/**
 * A folder, or a path where one will be, that belongs to one process: a small file names the holder (`lock-file.ts`). A
 * dead process holds nothing: the next one takes over its file, and exactly one of several that try at once succeeds.
 */
import { randomBytes } from "node:crypto"
import { lstatSync, readFileSync, rmdirSync, rmSync } from "node:fs"
import { constants, copyFile, link, rename, rm, stat, writeFile } from "node:fs/promises"
import { hostname } from "node:os"
import { basename, dirname, join, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { messageOf, oneLine, UserError } from "../../core/errors.ts"
import { atExit } from "../at-exit.ts"
import { fileError } from "../files/file-error.ts"
import { discard, isDirectory, makeDirectory, resolveLink } from "../files/files.ts"
import {
  isEarlierStagingName,
  isStagingName,
  removeAbandoned,
  removeAbandonedBelow,
  stagingPath,
} from "../files/staging.ts"
import { goneSeconds, keepAlive } from "./heartbeat.ts"
import { type Holder, lockName, readHolder } from "./lock-file.ts"
import { thisProcess } from "./process-identity.ts"

/** Another process has the folder, or may have it. */
export class InUseError extends UserError {
  constructor(
    message: string,
    hint: string,
    /** Whether this machine can see when that process ends. */
    readonly ends = true,
  ) {
    super(message, hint)
  }
}

/** Held until it is disposed of, and at the latest until the process ends. */
export class Lock implements Disposable {
  private readonly cancelExit = atExit(() => this.remove())
  private readonly endBeats: () => void

  constructor(
    private readonly path: string,
    private readonly text: string,
    /** Folders that were made for it, the deepest first: those that stayed empty go with it. */
    private readonly made: readonly string[],
  ) {
    this.endBeats = keepAlive(path, text)
  }

  [Symbol.dispose](): void {
    this.cancelExit()
    this.endBeats()
    this.remove()
  }

  private remove(): void {
    try {
      // If a user removed it by hand, the file may be another process's by now.
      if (lstatSync(this.path).isFile() && readFileSync(this.path, "utf8") === this.text) rmSync(this.path)
      for (const folder of this.made) rmdirSync(folder)
    } catch {
      // The folder has content, as most have, or was removed with the lock.
    }
  }
}

/**
 * Makes the folder where it is not there, and takes it for this process. What killed processes left half built below it
 * is removed.
 *
 * @param command what the process does, for the message that another one gets: "mobileclip train"
 * @throws UserError where another process has it, its `.lock` is somebody else's, or nothing can be written there
 * @throws the signal's reason where it aborts before the folder is taken
 */
export async function lockFolder(folder: string, command: string, signal?: AbortSignal): Promise<Lock> {
  const made = await missingFolders(folder)
  const prepare = () => makeDirectory(folder)
  const lock = await lockAt(join(folder, lockName), folder, command, { prepare, made, signal })
  await removeAbandonedBelow(folder)
  return lock
}

/** The same for a path that is replaced as a whole: the lock is beside it, or beside the target of a link. Its parents are made. */
export async function lockPath(path: string, command: string, signal?: AbortSignal): Promise<Lock> {
  const target = await resolveLink(path)
  const around = dirname(target)
  const made = await missingFolders(around)
  const prepare = () => makeDirectory(around)
  const file = join(around, `.${basename(target)}${lockName}`)
  const lock = await lockAt(file, path, command, { prepare, made, signal })
  await removeAbandoned(around)
  return lock
}

/** Whether a file of this name is bookkeeping and not a user's content: a lock, or something half built. */
export function isBookkeeping(name: string): boolean {
  return isStagingName(name) || isEarlierStagingName(name) || /^\.(.+\.)?lock$/.test(name)
}

/** Throws UserError where a process has the folder, or may have it, or its `.lock` is somebody else's. */
export async function requireUnlocked(folder: string): Promise<void> {
  const holder = await readHolder(join(folder, lockName))
  if (holder && holder.state !== "gone") throw inUse(folder, join(folder, lockName), holder)
}

interface LockOptions {
  /** Makes the folder of the lock. */
  readonly prepare?: () => Promise<void>
  /** Folders that were made for it. */
  readonly made?: readonly string[]
  readonly signal?: AbortSignal | undefined
}

async function lockAt(
  path: string,
  target: string,
  command: string,
  { prepare = async () => {}, made = [], signal }: LockOptions,
): Promise<Lock> {
  const own = stagingPath(path)
  const id = randomBytes(8).toString("hex")
  const content = { ...thisProcess(), host: hostname(), command, since: new Date().toISOString(), id }
  const text = `${JSON.stringify(content)}\n`
  try {
    await writeOwn(own, text, prepare)
    const holder = await take(path, own, new Waits(target, signal))
    if (holder) throw inUse(target, path, holder)
    return new Lock(path, text, made)
  } catch (error) {
    throw signal?.aborted ? error : explained(error, target)
  } finally {
    await discard(own)
  }
}

/** Tries again where the previous holder is just removing the folder because it stayed empty. */
async function writeOwn(own: string, text: string, prepare: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    await prepare()
    try {
      return await writeFile(own, text, { flag: "wx" })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT" || attempt === 5) throw error
    }
  }
}

/** The system's error names the lock file; users know the folder. */
function explained(error: unknown, target: string): unknown {
  const { code } = error as NodeJS.ErrnoException
  return error instanceof UserError
    ? error
    : fileError(Object.assign(new Error(messageOf(error)), { code }), "writing", target)
}

/**
 * Makes `path` a link to the file `own`, unless a process that may live has it: then that holder is returned. Which process
 * follows a dead holder is decided by a second file, which is taken in the same way and named after that holder, so that
 * the holder is replaced once: a process that comes late finds another holder, or none.
 */
async function take(path: string, own: string, waits: Waits): Promise<Holder | null> {
  while (!(await linked(own, path))) {
    const holder = await readHolder(path)
    if (holder === null) await waits.next(5)
    else if (holder.state === "begun") await waits.next(50)
    else if (holder.state !== "gone") return holder
    else {
      const guard = guardOf(path, holder)
      const follower = await take(guard, own, waits)
      if (follower === null && (await isHolder(path, holder))) return rename(guard, path).then(() => null)
      if (follower === null) await rm(guard)
      else await waits.next(20)
    }
  }
  return null
}

/** The waits for one lock. They are counted, and time is not: a process that was suspended has missed nothing. */
class Waits {
  /** Some process has the lock after a few, and a file that is not complete counts as abandoned after 200. */
  private left = 400

  constructor(
    private readonly target: string,
    private readonly signal: AbortSignal | undefined,
  ) {}

  /** Throws UserError after too many waits, and the signal's reason where it aborts. */
  async next(milliseconds: number): Promise<void> {
    this.signal?.throwIfAborted()
    if (this.left-- === 0) throw beingTaken(this.target)
    await sleep(milliseconds)
    this.signal?.throwIfAborted()
  }
}

function beingTaken(target: string): InUseError {
  return new InUseError(`${target} is being taken by another process`, "try again")
}

async function isHolder(path: string, { digest }: Holder): Promise<boolean> {
  return (await readHolder(path))?.digest === digest
}

/** A staging name, so that what a process leaves behind when it dies at this moment is removed a day later. */
function guardOf(path: string, { digest }: Holder): string {
  const name = basename(path).replace(/^\.(.+)\.[0-9a-f]{32}\.tmp$/, "$1")
  return join(dirname(path), `.${name}.${digest}.tmp`)
}

/** The new file has its content from the start; where the file system has no links it is complete soon after. */
async function linked(own: string, path: string): Promise<boolean> {
  try {
    await link(own, path).catch((error: NodeJS.ErrnoException) => {
      if (!noLinks.includes(error.code ?? "")) throw error
      return copyFile(own, path, constants.COPYFILE_EXCL)
    })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error
    // Where a server's answer was lost, the second try finds the link that the first one made.
    return (await stat(own)).nlink > 1
  }
}

const noLinks = ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"]

function inUse(target: string, path: string, { state, record, silent = 0 }: Holder): InUseError {
  if (!record) return beingTaken(target)
  const { command, pid, host, since } = record
  const who = `${oneLine(command)} (process ${pid}${state === "elsewhere" ? ` on ${oneLine(host)}` : ""})`
  const when = oneLine(since).replace(/^(\S+)T(\d\d:\d\d).*$/, "$1 $2 UTC")
  const works = `${target} is in use: ${who} works there since ${when}`
  if (state !== "elsewhere") return new InUseError(works, "wait until it ends, or choose another folder")
  return new InUseError(
    `${works} and was last heard of ${Math.round(silent)} s ago`,
    `choose another folder, or wait: it counts as gone when nothing is heard of it for ${goneSeconds} s; where you know that it is gone, remove ${path}`,
    false,
  )
}

/** The folders of the path that are not there, the deepest first. */
async function missingFolders(path: string): Promise<string[]> {
  const missing: string[] = []
  for (let folder = resolve(path); !(await isDirectory(folder)); folder = dirname(folder)) {
    missing.push(folder)
    if (dirname(folder) === folder) break
  }
  return missing
}
