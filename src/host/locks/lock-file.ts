/**
 * The file of a lock: which process wrote it, and whether that process still lives. Where the process cannot be asked for,
 * on another machine or in another container, the file's time says whether it lives.
 */
import { createHash } from "node:crypto"
import { constants, lstat, open } from "node:fs/promises"
import { z } from "zod"
import { UserError } from "../../core/errors.ts"
import { jsonOrNull } from "../../core/json.ts"
import { nullIfMissing } from "../files/files.ts"
import { goneSeconds, secondsSinceBeat } from "./heartbeat.ts"
import { isRunning, thisProcess } from "./process-identity.ts"

/** The name of the file in a folder that a process has. */
export const lockName = ".lock"

/** The content of the file, as JSON. */
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

export interface Holder {
  /** "begun": the file is not complete yet. "elsewhere": where it cannot be asked for, and heard of a while ago. */
  readonly state: "running" | "gone" | "elsewhere" | "begun"
  /** 32 digits that no other lock file has. */
  readonly digest: string
  /** Null where the file is not complete. */
  readonly record: z.output<typeof record> | null
  /** Seconds since a holder that is elsewhere was last heard of. */
  readonly silent?: number
}

/** A file is written in one go; if one is not complete after this time, the machine that wrote it stopped. */
const completeMilliseconds = 10_000

/** A lock has 300 bytes. */
const mostBytes = 2 ** 16

/** Null where no process has the lock. Throws UserError where something that is not a lock has its name. */
export async function readHolder(path: string): Promise<Holder | null> {
  if ((await lstat(path).catch(nullIfMissing))?.isFile() === false) throw notALock(path)
  // It may have been exchanged by now: a link is not followed, and a pipe is not waited for.
  const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOFOLLOW ?? 0)).catch(nullIfMissing) // biome-ignore format: one call
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

/** After its machine stopped, a lock may be empty, hold zeros, or end early. */
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
  // Where the clock was put back, the file is from the future.
  const age = Math.abs(Date.now() - modified)
  return { state: age > completeMilliseconds ? "gone" : "begun", digest, record: null }
}

async function listenedFor(holder: Holder, path: string, modified: number): Promise<Holder> {
  if (holder.state !== "elsewhere") return holder
  const silent = await secondsSinceBeat(path, modified)
  return { ...holder, silent, state: silent > goneSeconds ? "gone" : "elsewhere" }
}

function stateOf(owner: z.output<typeof record>): Holder["state"] {
  if (owner.machine !== thisProcess().machine) return "elsewhere"
  return isRunning(owner) ? "running" : "gone"
}
