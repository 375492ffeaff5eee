/**
 * Hidden names under which files are built before they are renamed, beside what they become: `.name.<digits>.tmp`, and
 * `.name.<digits>.old` for a folder that is being replaced. The digits say which process builds, so that what a killed one
 * left can be told from what another one is writing.
 */
import { randomBytes } from "node:crypto"
import { existsSync } from "node:fs"
import { lstat, readdir, rename } from "node:fs/promises"
import { basename, dirname, join, resolve } from "node:path"
import { isRunning, type ProcessIdentity, thisProcess } from "../locks/process-identity.ts"
import { isOwn, removeOwn } from "./remove-own.ts"

const pattern = /^\.(.+)\.([0-9a-f]{32})\.(tmp|old)$/

/** With the digits of earlier versions, which a date looks like too: known for what they may be, and left alone. */
const earlierPattern = /^\.(.+)\.(?:[0-9a-f]{12}|[0-9a-f]{24})\.(?:tmp|old)$/

/** Where it cannot be asked whether the process lives: a file that was not written to for so long is abandoned. */
const longMilliseconds = 24 * 3600 * 1000

/** A new hidden name in the folder of `path`, where that is built. */
export function stagingPath(path: string, kind: "tmp" | "old" = "tmp"): string {
  const absolute = resolve(path)
  return join(dirname(absolute), `.${basename(absolute)}.${processDigits()}.${kind}`)
}

/** Whether a file of this name is being built, or was left so. */
export function isStagingName(name: string): boolean {
  return pattern.test(name)
}

/** Whether an earlier version may have written a file of this name: it is not a user's content, and is not removed. */
export function isEarlierStagingName(name: string): boolean {
  return earlierPattern.test(name)
}

/** A path as the user knows it: hidden staging names are replaced by the final ones. */
export function withoutStagingNames(path: string): string {
  return path.replace(/[^/\\]+/g, (name) => pattern.exec(name)?.[1] ?? name)
}

/** 32 hexadecimal digits that name this process and are used once. */
export function processDigits(): string {
  const { pid, machine, start } = thisProcess()
  return pid.toString(16).padStart(8, "0") + machine + start + randomBytes(4).toString("hex")
}

/** Removes what this user's killed processes left half built in a folder; never what another process may still be writing. */
export async function removeAbandoned(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => [])
  for (const name of names.filter(isStagingName)) {
    const path = join(folder, name)
    // It may be gone by now: another process removes too.
    if (await isAbandoned(path)) await discard(path, name).catch(() => {})
  }
}

/** The same in the folders below, as deep as what commands write; links are not followed. */
export async function removeAbandonedBelow(folder: string, depth = 2): Promise<void> {
  await removeAbandoned(folder)
  if (depth === 0) return
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
  for (const entry of entries) {
    if (entry.isDirectory() && !isStagingName(entry.name))
      await removeAbandonedBelow(join(folder, entry.name), depth - 1)
  }
}

const cleaned = new Map<string, Promise<void>>()

/** Removes once in the life of this process, before it first writes to the folder: a folder of many files takes long to list. */
export function removeAbandonedOnce(folder: string): Promise<void> {
  const path = resolve(folder)
  const done = cleaned.get(path) ?? removeAbandoned(path)
  cleaned.set(path, done)
  return done
}

/** Whether the process that the digits name has ended; on another machine, whether the file was not written to for long. */
export async function isAbandoned(path: string, digits = pattern.exec(basename(path))?.[2] ?? ""): Promise<boolean> {
  const maker = processIn(digits)
  if (maker.machine === thisProcess().machine) return !isRunning(maker)
  const newest = await lastWritten(path).catch(() => null)
  return newest !== null && Date.now() - newest > longMilliseconds
}

/** When a path, or anything in it, was modified last, in milliseconds. */
async function lastWritten(path: string): Promise<number> {
  const found = await lstat(path)
  const names = found.isDirectory() ? await readdir(path) : []
  const inside = await Promise.all(names.map((name) => lastWritten(join(path, name))))
  return inside.reduce((last, time) => Math.max(last, time), found.mtimeMs)
}

/** A folder that was moved away, and whose successor never came, comes back. */
async function discard(path: string, name: string): Promise<void> {
  const [, original, , kind] = pattern.exec(name)!
  const place = join(dirname(path), original!)
  const comesBack = kind === "old" && !existsSync(place) && isOwn(await lstat(path))
  if (comesBack) await rename(path, place)
  else await removeOwn(path)
}

function processIn(digits: string): ProcessIdentity {
  return {
    pid: Number.parseInt(digits.slice(0, 8), 16),
    machine: digits.slice(8, 16),
    start: digits.slice(16, 24),
  }
}
