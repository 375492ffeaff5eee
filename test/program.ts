/** The command line as it was built, as a process that can be killed. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"

/** This file is compiled into dist/test, and run as it is by the tests. */
export const program = fileURLToPath(new URL("../bin/mobileclip.js", import.meta.url)).replace("/dist/bin/", "/bin/")

export interface StartOptions {
  /** In place of this process's. */
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  readonly stdout?: "ignore" | "pipe"
  readonly stderr?: "inherit" | "pipe"
}

/** `mobileclip ...args` with one OpenMP thread. */
export function startProgram(args: readonly string[], options: StartOptions = {}): ChildProcess {
  return startNode([program, ...args], options)
}

export function startNode(args: readonly string[], options: StartOptions = {}): ChildProcess {
  const { env = process.env, cwd, stdout = "ignore", stderr = "inherit" } = options
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", stdout, stderr],
    env: { ...env, OMP_NUM_THREADS: "1" },
    ...(cwd !== undefined && { cwd }),
  })
  closings.set(child, new Promise((resolve) => child.once("close", () => resolve())))
  return child
}

const closings = new WeakMap<ChildProcess, Promise<void>>()

export function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null
}

/** As a crash does; false where it was gone already. */
export function kill(child: ChildProcess): boolean {
  return isRunning(child) && child.kill("SIGKILL")
}

/** The exit code; null for a process that was killed. */
export async function ended(child: ChildProcess): Promise<number | null> {
  if (isRunning(child)) await once(child, "exit")
  return child.exitCode
}

/** The same when all that it and its own processes wrote is here, which may be later than its exit. */
export async function closed(child: ChildProcess): Promise<number | null> {
  await closings.get(child)
  return child.exitCode
}

/** What it writes to stderr, as far as it has. */
export function errorsOf(child: ChildProcess): () => string {
  let text = ""
  child.stderr!.on("data", (chunk) => {
    text += String(chunk)
  })
  return () => text
}
