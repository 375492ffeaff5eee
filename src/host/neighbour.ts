/**
 * Hidden names under which files are built before they are renamed, beside what they become: `.name.<digits>.tmp`. The
 * digits say which process builds, so that what a killed one left can be told from what another one is writing.
 */
import { createHash, randomBytes } from "node:crypto"
import { readlinkSync } from "node:fs"
import { readdir, rm, stat } from "node:fs/promises"
import { hostname } from "node:os"
import { basename, dirname, join, resolve } from "node:path"

/** Process, machine, and what tells the files of one process apart; fewer digits say nothing of whose they are. */
const pattern = /^\.(.+)\.(?:([0-9a-f]{8})([0-9a-f]{8})[0-9a-f]{8}|[0-9a-f]{12})\.tmp$/

/** Where the process cannot be asked for: on another machine, a file that nobody wrote to for so long. */
const longMilliseconds = 24 * 3600 * 1000

/** A new hidden name in the folder of `path`, where that is built. */
export function neighbour(path: string): string {
  const whole = resolve(path)
  const digits = process.pid.toString(16).padStart(8, "0") + machine() + randomBytes(4).toString("hex")
  return join(dirname(whole), `.${basename(whole)}.${digits}.tmp`)
}

/** Whether a file of this name is being built, or was left so. */
export function isNeighbour(name: string): boolean {
  return pattern.test(name)
}

/** A path as the user knows it: with the name that is built in place of the hidden one. */
export function withoutNeighbours(path: string): string {
  return path.replace(/[^/\\]+/g, (name) => pattern.exec(name)?.[1] ?? name)
}

/** Removes what killed processes left half built in a folder; never what another process may still be writing. */
export async function removeAbandoned(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => [])
  for (const name of names.filter(isNeighbour)) {
    const path = join(folder, name)
    // It may be gone by now: another process removes too.
    if (await isAbandoned(path, name)) await rm(path, { recursive: true, force: true }).catch(() => {})
  }
}

async function isAbandoned(path: string, name: string): Promise<boolean> {
  const [, , pid, where] = pattern.exec(name)!
  if (pid && where === machine()) return !isRunning(Number.parseInt(pid, 16))
  const found = await stat(path).catch(() => null)
  return found !== null && Date.now() - found.mtimeMs > longMilliseconds
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    // It runs, and is another user's.
    return (error as NodeJS.ErrnoException).code === "EPERM"
  }
}

/** Where a process's number means that process: the machine, and on Linux the container. */
function machine(): string {
  return createHash("sha256").update(`${hostname()} ${processNamespace()}`).digest("hex").slice(0, 8)
}

function processNamespace(): string {
  try {
    return readlinkSync("/proc/self/ns/pid")
  } catch {
    return ""
  }
}
