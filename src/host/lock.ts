/**
 * A folder, or a path where one will be, that belongs to one process: a small file says who has it. A dead process holds
 * nothing: the next one takes its file over, and of several that try at once one has it. Of a process that cannot be
 * asked for, on another machine or in another container, the file's time says whether it lives.
 */
import { createHash, randomBytes } from "node:crypto"
import { lstatSync, readFileSync, rmdirSync, rmSync } from "node:fs"
import { constants, copyFile, link, lstat, open, rename, rm, stat, writeFile } from "node:fs/promises"
import { hostname } from "node:os"
import { basename, dirname, join, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { z } from "zod"
import { messageOf, oneLine, UserError } from "../core/errors.ts"
import { jsonOrNull } from "../core/json.ts"
import { atExit } from "./at-exit.ts"
import { fileError } from "./file-error.ts"
import { absent, discard, isDirectory, makeDirectory, placeOf } from "./files.ts"
import { goneSeconds, keepHeard, secondsSilent } from "./heartbeat.ts"
import { isEarlierNeighbour, isNeighbour, neighbour, removeAbandoned, removeAbandonedBelow } from "./neighbour.ts"
import { isRunning, thisProcess } from "./owner.ts"

/** In a folder that a process has. */
export const lockName = ".lock"

/** What the file says. */
const record = z.object({
  pid: z.int().positive(),
  start: z.string(),
  machine: z.string(),
  /** The machine as its users know it. */
  host: z.string(),
  command: z.string(),
  since: z.string(),
  /** No two files are equal. */
  id: z.string(),
})

/** Another process, perhaps, has the folder. */
export class InUse extends UserError {
  constructor(
    message: string,
    hint: string,
    /** Whether it can be seen from here when that process ends. */
    readonly ends = true,
  ) {
    super(message, hint)
  }
}

/** Held until it is disposed of, and at the latest until the process ends. */
export class Lock implements Disposable {
  private readonly forget = atExit(() => this.remove())
  private readonly endBeats: () => void

  constructor(
    private readonly path: string,
    private readonly text: string,
    /** Folders that were made for it, the deepest first: those that stayed empty go with it. */
    private readonly made: readonly string[],
  ) {
    this.endBeats = keepHeard(path, text)
  }

  [Symbol.dispose](): void {
    this.forget()
    this.endBeats()
    this.remove()
  }

  private remove(): void {
    try {
      // Whoever removed it by hand gave the folder to another one.
      if (lstatSync(this.path).isFile() && readFileSync(this.path, "utf8") === this.text) rmSync(this.path)
      for (const folder of this.made) rmdirSync(folder)
    } catch {
      // The folder has content, as most have, or went away with the lock.
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

/** The same for a folder that is built beside and replaced whole: the file is beside it, or beside what a link leads to. The folder around it must exist. */
export async function lockPlace(path: string, command: string, signal?: AbortSignal): Promise<Lock> {
  const whole = await placeOf(path)
  const lock = await lockAt(join(dirname(whole), `.${basename(whole)}${lockName}`), path, command, { signal })
  await removeAbandoned(dirname(whole))
  return lock
}

/** Whether a file of this name is bookkeeping beside what users want: a lock, or half built. */
export function isBookkeeping(name: string): boolean {
  return isNeighbour(name) || isEarlierNeighbour(name) || /^\.(.+\.)?lock$/.test(name)
}

/** Throws UserError where a process, perhaps, has the folder, or its `.lock` is somebody else's. */
export async function requireUnlocked(folder: string): Promise<void> {
  const holder = await readHolder(join(folder, lockName))
  if (holder && holder.state !== "gone") throw inUse(folder, join(folder, lockName), holder)
}

interface Taking {
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
  { prepare = async () => {}, made = [], signal }: Taking,
): Promise<Lock> {
  const own = neighbour(path)
  const id = randomBytes(8).toString("hex")
  const content = { ...thisProcess(), host: hostname(), command, since: new Date().toISOString(), id }
  const text = `${JSON.stringify(content)}\n`
  try {
    await writeOwn(own, text, prepare)
    const holder = await take(path, own, new Turns(target, signal))
    if (holder) throw inUse(target, path, holder)
    return new Lock(path, text, made)
  } catch (error) {
    throw signal?.aborted ? error : explained(error, target)
  } finally {
    await discard(own)
  }
}

/** Who had the folder before may be removing it, because it stayed empty. */
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

/** The system speaks of the file, and the user knows the folder. */
function explained(error: unknown, target: string): unknown {
  const { code } = error as NodeJS.ErrnoException
  return error instanceof UserError
    ? error
    : fileError(Object.assign(new Error(messageOf(error)), { code }), "writing", target)
}

// --------------------------------------------------------------------------------------------------------- taking

/**
 * Makes `path` a link to the file `own`, unless a process that may live has it: then that one is returned. Who follows a
 * dead holder is decided by a second file that is taken in the same way and named after that holder, so that it is
 * replaced once: who comes late finds another holder, or none.
 */
async function take(path: string, own: string, turns: Turns): Promise<Holder | null> {
  while (!(await linked(own, path))) {
    const holder = await readHolder(path)
    if (holder === null) await turns.next(5)
    else if (holder.state === "begun") await turns.next(50)
    else if (holder.state !== "gone") return holder
    else {
      const guard = guardOf(path, holder)
      const follower = await take(guard, own, turns)
      if (follower === null && (await isHolder(path, holder))) return rename(guard, path).then(() => null)
      if (follower === null) await rm(guard)
      else await turns.next(20)
    }
  }
  return null
}

/** The turns of one lock, which are counted, and not time: a process that is held up has missed nothing. */
class Turns {
  /** Somebody takes the lock within a few, and a file that is not complete is given up after 200. */
  private left = 400

  constructor(
    private readonly target: string,
    private readonly signal: AbortSignal | undefined,
  ) {}

  /** Throws UserError where there were too many, and the signal's reason. */
  async next(milliseconds: number): Promise<void> {
    this.signal?.throwIfAborted()
    if (this.left-- === 0) throw beingTaken(this.target)
    await sleep(milliseconds)
    this.signal?.throwIfAborted()
  }
}

function beingTaken(target: string): InUse {
  return new InUse(`${target} is being taken by another process`, "try again")
}

async function isHolder(path: string, { digest }: Holder): Promise<boolean> {
  return (await readHolder(path))?.digest === digest
}

/** A name that counts as a neighbour's, so that what a process leaves that dies just now is removed a day later. */
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
    // A server's answer that was lost makes the second try find the first one's link.
    return (await stat(own)).nlink > 1
  }
}

const noLinks = ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"]

// --------------------------------------------------------------------------------------------------------- holders

interface Holder {
  /** "begun": the file is not complete yet. "elsewhere": where it cannot be asked for, and heard of a while ago. */
  readonly state: "running" | "gone" | "elsewhere" | "begun"
  /** 32 digits of the file, which no other has. */
  readonly digest: string
  readonly record: z.output<typeof record> | null
  /** Of one that is elsewhere: seconds since it was last heard of. */
  readonly silent?: number
}

/** A file is written in one go; one that is not complete after so long is of a machine that stopped. */
const completeMilliseconds = 10_000

/** A lock has 300 bytes. */
const mostBytes = 2 ** 16

/** Null where nobody has it. Throws UserError where something else has its name. */
async function readHolder(path: string): Promise<Holder | null> {
  if ((await lstat(path).catch(absent))?.isFile() === false) throw notALock(path)
  // It may be another one by now: a link is not followed, nor a pipe waited for.
  const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOFOLLOW ?? 0)).catch(absent) // biome-ignore format: one call
  if (file === null) return null
  try {
    const found = await file.stat()
    if (!found.isFile() || found.size > mostBytes) throw notALock(path)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(mostBytes), 0, mostBytes, 0)
    const text = buffer.toString("utf8", 0, bytesRead)
    if (!mayBeLock(text)) throw notALock(path)
    return await listenedFor(holderIn(text, found.mtimeMs), path, found.mtimeMs)
  } finally {
    await file.close()
  }
}

/** Of a machine that stopped it may be without content, or zeros, or end early. */
function mayBeLock(text: string): boolean {
  const begin = '{"pid":'
  return text.startsWith(begin) || begin.startsWith(text) || /^\0+$/.test(text)
}

function notALock(path: string): UserError {
  return new UserError(
    `${path} is not a lock that this program wrote, and is not replaced`,
    "remove it, or choose another folder",
  )
}

function holderIn(text: string, modified: number): Holder {
  const parsed = record.safeParse(jsonOrNull(text))
  const digest = createHash("sha256").update(`${modified} ${text}`).digest("hex").slice(0, 32)
  if (parsed.success) return { state: stateOf(parsed.data), digest, record: parsed.data }
  // A clock that was put back makes it one of the future.
  const age = Math.abs(Date.now() - modified)
  return { state: age > completeMilliseconds ? "gone" : "begun", digest, record: null }
}

async function listenedFor(holder: Holder, path: string, modified: number): Promise<Holder> {
  if (holder.state !== "elsewhere") return holder
  const silent = await secondsSilent(path, modified)
  return { ...holder, silent, state: silent > goneSeconds ? "gone" : "elsewhere" }
}

function stateOf(owner: z.output<typeof record>): Holder["state"] {
  if (owner.machine !== thisProcess().machine) return "elsewhere"
  return isRunning(owner) ? "running" : "gone"
}

function inUse(target: string, path: string, { state, record, silent = 0 }: Holder): InUse {
  if (!record) return beingTaken(target)
  const { command, pid, host, since } = record
  const who = `${oneLine(command)} (process ${pid}${state === "elsewhere" ? ` on ${oneLine(host)}` : ""})`
  const when = oneLine(since).replace(/^(\S+)T(\d\d:\d\d).*$/, "$1 $2 UTC")
  const works = `${target} is in use: ${who} works there since ${when}`
  if (state !== "elsewhere") return new InUse(works, "wait until it ends, or choose another folder")
  return new InUse(
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
