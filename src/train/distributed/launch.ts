/** One process per rank, on this machine: what `torchrun` does, for `mobileclip train --nproc N`. */
import { type ChildProcess, fork } from "node:child_process"
import { constants } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { UserError } from "../../core/errors.ts"
import { temporaryFolder } from "../../host/files/temporary.ts"
import { usableProcessors } from "../../host/processors.ts"
import { rendezvousVariable } from "./environment.ts"

export interface LaunchOptions {
  /** A JavaScript file. */
  readonly program: string
  readonly args?: readonly string[]
  readonly processes: number
  /** Threads of all ranks together; default: as many as this machine has. */
  readonly threads?: number
  /** Variables in addition to this process's own. */
  readonly environment?: Readonly<Record<string, string>>
  /** How long ranks may take to end by themselves when one is lost, before they are told to end, and then killed; default 10. */
  readonly graceSeconds?: number
  /** The same where a signal told all of them to stop, and the others may be saving; default 300. */
  readonly stopGraceSeconds?: number
  /** Takes what ranks other than 0 write to their standard error, line by line; rank 0 writes to this process's. */
  readonly log: (line: string) => void
}

/** Tells a rank that its parent is a launcher: the rank ends when the launcher does. */
const launcherVariable = "MOBILECLIP_LAUNCHER"

/**
 * Runs the program once per rank and waits for all. SIGINT, SIGTERM and SIGHUP are passed on to every rank once; a second
 * one kills them.
 *
 * @returns 0, or what the ranks exited with after a signal
 * @throws UserError naming the rank that was lost first, when all others have ended. A rank that ends as a signal asked is not lost
 */
export async function launch(options: LaunchOptions): Promise<number> {
  const { processes, threads = usableProcessors().count, graceSeconds = 10, stopGraceSeconds = 300 } = options
  // The ranks find each other in this folder, which only this user may read.
  using folder = temporaryFolder("ranks")
  const shared = {
    ...loopback,
    ...options.environment,
    [launcherVariable]: String(process.pid),
    [rendezvousVariable]: join(folder.path, "ranks"),
    WORLD_SIZE: String(processes),
    OMP_NUM_THREADS: String(Math.max(1, Math.floor(threads / processes))),
  }
  const ranks = Array.from({ length: processes }, (_, rank) => new Rank(rank, shared, options))
  const signals = new SignalRelay(ranks)
  try {
    const all = Promise.all(ranks.map(({ ended }) => ended))
    const first = await Promise.race([all.then(() => null), firstFailure(ranks)])
    // Ranks that are in an operation with a lost one fail at once; ranks that have not joined yet would wait for it.
    if (first) await endAll(ranks, signals.received ? stopGraceSeconds : graceSeconds)
    const ends = await all
    const lost = first && [first, ...ends].find(isLost)
    if (lost && !signals.again) throw lostRank(lost, ends)
    return first?.code ?? 0
  } finally {
    signals.close()
  }
}

/** NCCL's ranks meet on an interface of the machine; on Linux this variable makes it the loopback interface. */
const loopback = process.platform === "linux" ? { NCCL_SOCKET_IFNAME: "lo" } : {}

/** A rank of a launcher stops as after SIGTERM when the launcher has ended. Does nothing in other processes. */
export function endWithLauncher(): void {
  if (!process.env[launcherVariable] || !process.channel) return
  process.once("disconnect", () => process.kill(process.pid, "SIGTERM"))
  // The channel alone must not keep a finished rank alive.
  process.channel.unref()
}

interface End {
  readonly rank: number
  readonly pid: number | undefined
  /** As a shell reports it: 128 + the signal's number. */
  readonly code: number
  readonly signal: NodeJS.Signals | null
  /** The last signal that the launcher sent to it. */
  readonly asked: NodeJS.Signals | null
  /** Why it could not be started. */
  readonly error?: Error
}

class Rank {
  readonly ended: Promise<End>
  private readonly child: ChildProcess
  private asked: NodeJS.Signals | null = null

  constructor(
    readonly rank: number,
    shared: Readonly<Record<string, string>>,
    { program, args = [], log }: LaunchOptions,
  ) {
    this.child = fork(program, args, {
      env: { ...process.env, ...shared, RANK: String(rank), LOCAL_RANK: String(rank) },
      stdio: rank === 0 ? ["ignore", "inherit", "inherit", "ipc"] : ["ignore", "ignore", "pipe", "ipc"],
      // Ctrl-C goes to all processes of a terminal: without a group of their own ranks would get it twice.
      detached: true,
    })
    const { stderr } = this.child
    if (stderr) createInterface({ input: stderr }).on("line", (line) => log(`[rank ${rank}] ${line}`))
    this.ended = new Promise((resolve) => {
      const { pid } = this.child
      this.child.once("error", (error) => resolve({ rank, pid, code: 1, signal: null, asked: null, error }))
      this.child.once("exit", (exitCode, signal) => {
        const code = signal ? 128 + constants.signals[signal] : (exitCode ?? 1)
        resolve({ rank, pid, code, signal, asked: this.asked })
      })
    })
  }

  /** Sends the signal to this child, if it still runs. */
  kill(signal: NodeJS.Signals): void {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    this.asked = signal
    this.child.kill(signal)
  }
}

const stopSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const

class SignalRelay {
  received = false
  /** A second signal came: whoever sends it needs no explanation. */
  again = false

  constructor(private readonly ranks: readonly Rank[]) {
    for (const signal of stopSignals) process.on(signal, this.pass)
  }

  close(): void {
    for (const signal of stopSignals) process.off(signal, this.pass)
  }

  private readonly pass = (signal: NodeJS.Signals): void => {
    for (const rank of this.ranks) rank.kill(this.received ? "SIGKILL" : signal)
    this.again = this.received
    this.received = true
  }
}

/** The first rank that ends with another code than 0. The promise never resolves where there is none. */
function firstFailure(ranks: readonly Rank[]): Promise<End> {
  return new Promise((resolve) => {
    for (const { ended } of ranks) void ended.then((end) => end.code !== 0 && resolve(end))
  })
}

/** Whether a rank ended in another way than it was asked to: by the signal, or by itself with the code of a stopped process. */
function isLost({ code, signal, asked }: End): boolean {
  if (code === 0) return false
  const stopped = signal === null ? [129, 130, 143].includes(code) : signal === asked
  return asked === null || !stopped
}

/** Waits, then tells the ranks to end, then kills them. */
async function endAll(ranks: readonly Rank[], graceSeconds: number): Promise<void> {
  const all = Promise.all(ranks.map(({ ended }) => ended))
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    if (await isDoneWithin(all, graceSeconds)) return
    for (const rank of ranks) rank.kill(signal)
  }
}

function isDoneWithin(promise: Promise<unknown>, seconds: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), seconds * 1000)
    void promise.then(() => {
      clearTimeout(timer)
      resolve(true)
    })
  })
}

/** A rank that was killed from outside, or could not start, is the cause: the others failed because of it, perhaps sooner. */
function lostRank(first: End, ends: readonly End[]): UserError {
  const cause = ends.find(({ signal, error, asked }) => error || (signal && signal !== asked)) ?? first
  const { rank, pid, signal, code, error } = cause
  const what = error
    ? `did not start: ${error.message}`
    : signal
      ? `was killed by ${signal}`
      : `ended with code ${code}`
  const memory = signal === "SIGKILL" ? "out of memory?" : "its own message says why;"
  return new UserError(
    `rank ${rank} of ${ends.length} (process ${pid ?? "none"}) ${what}; the others have stopped`,
    `${memory} where a checkpoint was saved it is whole: go on from it with --resume`,
  )
}
