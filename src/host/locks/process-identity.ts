/**
 * Which process made a file, so that what a dead process left can be told from what a living one works on: the process id,
 * its start (an id is used again, the two together are not), and the machine on which that id is valid.
 */
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { readFileSync, readlinkSync } from "node:fs"
import { hostname } from "node:os"

export interface ProcessIdentity {
  readonly pid: number
  /** Eight hexadecimal digits; zeros where the system does not tell. */
  readonly start: string
  /** Eight hexadecimal digits. */
  readonly machine: string
}

const unknownStart = "00000000"

let own: ProcessIdentity | undefined

/** This process. */
export function thisProcess(): ProcessIdentity {
  own ??= { pid: process.pid, start: startOf(process.pid), machine: machine() }
  return own
}

/** Whether a process of this machine still runs. If its start is unknown, it counts as running while its id is in use. */
export function isRunning({ pid, start }: Pick<ProcessIdentity, "pid" | "start">): boolean {
  if (!isTaken(pid) || hasEnded(pid)) return false
  const found = startOf(pid)
  return start === unknownStart || found === unknownStart || found === start
}

function isTaken(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    // It runs and belongs to another user.
    return (error as NodeJS.ErrnoException).code === "EPERM"
  }
}

/** A process keeps its id until its parent asks how it ended, which some parents never do. */
function hasEnded(pid: number): boolean {
  return /^\d+ \(.*\) [ZX]/s.test(textOf(`/proc/${pid}/stat`))
}

function startOf(pid: number): string {
  const text = process.platform === "linux" ? linuxStart(pid) : startByPs(pid)
  return text === "" ? unknownStart : digits(text)
}

/** The boot's id and the process's start in ticks since that boot. */
function linuxStart(pid: number): string {
  // The second field is the program's name, which may hold anything.
  const fields = textOf(`/proc/${pid}/stat`).replace(/^.*\)/s, "").trim().split(" ")
  const ticks = fields[19]
  return ticks ? `${textOf("/proc/sys/kernel/random/boot_id")} ${ticks}` : ""
}

function startByPs(pid: number): string {
  try {
    const env = { ...process.env, LC_ALL: "C", TZ: "UTC" }
    const stdio: ["ignore", "pipe", "ignore"] = ["ignore", "pipe", "ignore"]
    return execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { env, stdio, encoding: "utf8" }).trim()
  } catch {
    return ""
  }
}

/** Machines may share a name, and containers may share everything but the namespace of their processes. */
function machine(): string {
  return digits(`${hostname()} ${textOf("/etc/machine-id").trim()} ${processNamespace()}`)
}

function processNamespace(): string {
  try {
    return readlinkSync("/proc/self/ns/pid")
  } catch {
    return ""
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "latin1")
  } catch {
    return ""
  }
}

function digits(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 8)
}
