/** The worker's side of a process pool: opens its models once, then works on the shards it is sent. */
import { setTimeout as sleep } from "node:timers/promises"
import { inspect } from "node:util"
import { type ErrorMessage, toMessage } from "../../core/error-message.ts"
import { EnvironmentError, isAbort, oneLine, UserError } from "../../core/errors.ts"
import { printableLines } from "../../core/printable.ts"
import type { RunOptions, ShardResult, ShardTask } from "../runner.ts"

/** What a pool and its worker processes say to each other, over Node's channel between parent and child. */
export type ToWorker<Task = ShardTask> =
  /** The first message: whatever the worker's program needs to open its models. */
  | { readonly kind: "open"; readonly settings: unknown }
  | { readonly kind: "task"; readonly task: Task }
  /** Abandons the task under way. */
  | { readonly kind: "abort" }

export type FromWorker<Result = ShardResult> =
  | { readonly kind: "ready"; readonly identity: string }
  | { readonly kind: "progress"; readonly samples: number }
  | { readonly kind: "activity" }
  | { readonly kind: "done"; readonly result: Result }
  | { readonly kind: "failed"; readonly error: ErrorMessage }

interface ShardWorker<Task, Result> {
  readonly identity: string
  run(task: Task, options: RunOptions): Promise<Result>
}

/** Milliseconds between two notes of progress. */
const progressInterval = 500

/**
 * Serves the process that forked this one until it goes away. Ctrl-C and the terminal's end reach its whole group of
 * processes: the parent decides what becomes of the work.
 */
export function serveShards<Task = ShardTask, Result = ShardResult>(
  open: (settings: unknown) => Promise<ShardWorker<Task, Result>>,
): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {})
  // The parent's reader may be gone, and with it that of this process.
  process.stderr.on("error", () => {})
  let worker: ShardWorker<Task, Result> | null = null
  let abandon = new AbortController()
  let underWay: Promise<void> = Promise.resolve()
  const answer = async (message: Exclude<ToWorker<Task>, { kind: "abort" }>): Promise<FromWorker<Result>> => {
    if (message.kind === "task") {
      return { kind: "done", result: await worker!.run(message.task, runOptions(abandon.signal)) }
    }
    worker = await open(message.settings)
    return { kind: "ready", identity: worker.identity }
  }
  process.on("message", (message: ToWorker<Task>) => {
    if (message.kind === "abort") return abandon.abort()
    abandon = new AbortController()
    const reported = message.kind === "open" ? openingError : taskError
    underWay = answer(message).then(send, (error) => send({ kind: "failed", error: toMessage(reported(error)) }))
  })
  process.on("disconnect", async () => {
    abandon.abort()
    await Promise.race([underWay, sleep(patience)])
    process.exit(0)
  })
}

/** Milliseconds that a shard which is abandoned gets to take away what it has written. */
const patience = 2000

function runOptions(signal: AbortSignal): RunOptions {
  return {
    signal,
    onProgress: nowAndThen((samples: number) => send({ kind: "progress", samples })),
    onActivity: nowAndThen(() => send({ kind: "activity" })),
  }
}

function nowAndThen<Arguments extends unknown[]>(tell: (...what: Arguments) => void) {
  let last = Number.NEGATIVE_INFINITY
  return (...what: Arguments) => {
    const now = performance.now()
    if (now - last < progressInterval) return
    last = now
    tell(...what)
  }
}

function send<Result>(message: FromWorker<Result>): void {
  if (process.connected) process.send!(message, undefined, undefined, () => {})
}

/** A fault of ours keeps its stack on stderr; what is reported of the shard is a line. */
function taskError(error: unknown): Error {
  if (error instanceof UserError) return error
  if (!isAbort(error)) process.stderr.write(`${printableLines(inspect(error))}\n`)
  return new Error(`unexpected: ${oneLine(String(error), 500)}`)
}

/** No shard is at fault where models cannot be opened, whatever the reason. */
function openingError(error: unknown): EnvironmentError {
  const reported = taskError(error)
  return new EnvironmentError(reported.message, reported instanceof UserError ? reported.hint : undefined)
}
