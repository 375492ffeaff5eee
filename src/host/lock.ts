/**
 * A folder, or a path where one will be, that belongs to one process: a small file says who has it. A dead process holds
 * nothing: the next one takes its file over, and of several that try at once one has it. Of a process that cannot be
 * asked for, on another machine or in another container, the file's time says whether it lives.
 */
import { createHash, randomBytes } from "node:crypto"
import { readFileSync, rmdirSync, rmSync } from "node:fs"
import { constants, copyFile, link, open, rename, rm, stat, writeFile } from "node:fs/promises"
import { hostname } from "node:os"
import { basename, dirname, join, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { z } from "zod"
import { messageOf, oneLine, UserError } from "../core/errors.ts"
import { atExit } from "./at-exit.ts"
import { fileError } from "./file-error.ts"
import { absent, discard, isDirectory, makeDirectory, placeOf } from "./files.ts"
import { goneSeconds, keepHeard, secondsSilent } from "./heartbeat.ts"
import { isNeighbour, neighbour, removeAbandoned, removeAbandonedBelow } from "./neighbour.ts"
import { isRunning, thisProcess } from "./owner.ts"

const lockName = ".lock"

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
      if (readFileSync(this.path, "utf8") === this.text) rmSync(this.path)
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
 * @throws UserError where another process has it, or nothing can be written there
 */
export async function lockFolder(folder: string, command: string): Promise<Lock> {
  const made = await missingFolders(folder)
  const lock = await lockAt(join(folder, lockName), folder, command, { prepare: () => makeDirectory(folder), made })
  await removeAbandonedBelow(folder)
  return lock
}

/** The same for a folder that is built beside and replaced whole: the file is beside it, or beside what a link leads to. The folder around it must exist. */
export async function lockPlace(path: string, command: string): Promise<Lock> {
  const whole = await placeOf(path)
  const lock = await lockAt(join(dirname(whole), `.${basename(whole)}${lockName}`), path, command)
  await removeAbandoned(dirname(whole))
  return lock
}

/** Whether a file of this name is bookkeeping beside what users want: a lock, or half built. */
export function isBookkeeping(name: string): boolean {
  return isNeighbour(name) || /^\.(.+\.)?lock$/.test(name)
}

/** Throws UserError where a process, perhaps, has the folder. */
export async function requireUnlocked(folder: string): Promise<void> {
  const holder = await readHolder(join(folder, lockName))
  if (holder && holder.state !== "gone") throw inUse(folder, join(folder, lockName), holder)
}

async function lockAt(
  path: string,
  target: string,
  command: string,
  { prepare = async () => {}, made = [] }: { prepare?: () => Promise<void>; made?: readonly string[] } = {},
): Promise<Lock> {
  const own = neighbour(path)
  const id = randomBytes(8).toString("hex")
  const content = { ...thisProcess(), host: hostname(), command, since: new Date().toISOString(), id }
  const text = `${JSON.stringify(content)}\n`
  try {
    await writeOwn(own, text, prepare)
    const holder = await take(path, own)
    if (holder) throw inUse(target, path, holder)
    return new Lock(path, text, made)
  } catch (error) {
    throw explained(error, target)
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
async function take(path: string, own: string): Promise<Holder | null> {
  for (let turn = 1; !(await linked(own, path)); turn++) {
    const holder = await readHolder(path)
    if (holder === null) continue
    if (holder.state === "begun") await sleep(50)
    else if (holder.state !== "gone") return holder
    else {
      const guard = guardOf(path, holder)
      const follower = await take(guard, own)
      if (follower === null && (await isHolder(path, holder))) return rename(guard, path).then(() => null)
      if (follower === null) await rm(guard)
      else if (turn > mostTurns) return follower
      else await sleep(20)
    }
  }
  return null
}

/** Following takes no time, unless the process is held up. */
const mostTurns = 250

async function isHolder(path: string, { digest }: Holder): Promise<boolean> {
  return (await readHolder(path))?.digest === digest
}

/** A name that counts as a neighbour's, so that what a process leaves that dies just now is removed a day later. */
function guardOf(path: string, { digest }: Holder): string {
  const name = basename(path).replace(/^\.(.+)\.[0-9a-f]{12}\.tmp$/, "$1")
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
  /** 12 digits of the file, which no other has. */
  readonly digest: string
  readonly record: z.output<typeof record> | null
  /** Of one that is elsewhere: seconds since it was last heard of. */
  readonly silent?: number
}

/** A file is written in one go; one that is not complete after so long is of a machine that stopped. */
const completeMilliseconds = 10_000

/** Null where nobody has it. */
async function readHolder(path: string): Promise<Holder | null> {
  const file = await open(path).catch(absent)
  if (file === null) return null
  try {
    const text = await file.readFile("utf8")
    const { mtimeMs } = await file.stat()
    return await listenedFor(holderIn(text, mtimeMs), path, mtimeMs)
  } finally {
    await file.close()
  }
}

function holderIn(text: string, modified: number): Holder {
  const parsed = record.safeParse(jsonOf(text))
  const digest = createHash("sha256").update(`${modified} ${text}`).digest("hex").slice(0, 12)
  if (parsed.success) return { state: stateOf(parsed.data), digest, record: parsed.data }
  return { state: Date.now() - modified > completeMilliseconds ? "gone" : "begun", digest, record: null }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
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

function inUse(target: string, path: string, { state, record, silent = 0 }: Holder): UserError {
  if (!record) return new UserError(`${target} is being taken by another process`, "try again")
  const { command, pid, host, since } = record
  const who = `${oneLine(command)} (process ${pid}${state === "elsewhere" ? ` on ${oneLine(host)}` : ""})`
  const when = oneLine(since).replace(/^(\S+)T(\d\d:\d\d).*$/, "$1 $2 UTC")
  const works = `${target} is in use: ${who} works there since ${when}`
  if (state !== "elsewhere") return new UserError(works, "wait until it ends, or choose another folder")
  return new UserError(
    `${works} and was last heard of ${Math.round(silent)} s ago`,
    `choose another folder, or wait: it counts as gone when nothing is heard of it for ${goneSeconds} s; where you know that it is gone, remove ${path}`,
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
