/** The worker's side of a process pool: opens its models once, then works on the shards it is sent. */
import { setTimeout as sleep } from "node:timers/promises"
import { inspect } from "node:util"
import { oneLine, UserError } from "../../core/errors.ts"
import { printableLines } from "../../core/printable.ts"
import type { RunOptions, ShardResult, ShardTask } from "../runner.ts"
import type { Failure, FromWorker, ToWorker } from "./messages.ts"

export interface ShardWorker {
  readonly identity: string
  run(task: ShardTask, options: RunOptions): Promise<ShardResult>
}

/** Milliseconds between two notes of progress. */
const progressInterval = 500

/**
 * Serves the process that forked this one until it goes away. Ctrl-C reaches the whole group of processes of a terminal:
 * the parent decides what becomes of the work.
 */
export function serveShards(open: (settings: unknown) => Promise<ShardWorker>): void {
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => {})
  let worker: ShardWorker | null = null
  let abandon = new AbortController()
  let underWay: Promise<void> = Promise.resolve()
  const answer = async (message: Exclude<ToWorker, { kind: "abort" }>): Promise<FromWorker> => {
    if (message.kind === "task") {
      return { kind: "done", result: await worker!.run(message.task, runOptions(abandon.signal)) }
    }
    worker = await open(message.settings)
    return { kind: "ready", identity: worker.identity }
  }
  process.on("message", (message: ToWorker) => {
    if (message.kind === "abort") return abandon.abort()
    abandon = new AbortController()
    underWay = answer(message).then(send, (error) => send({ kind: "failed", failure: failureOf(error) }))
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
  let last = Number.NEGATIVE_INFINITY
  return {
    signal,
    onProgress(samples) {
      const now = performance.now()
      if (now - last < progressInterval) return
      last = now
      send({ kind: "progress", samples })
    },
  }
}

function send(message: FromWorker): void {
  if (process.connected) process.send!(message, undefined, undefined, () => {})
}

/** A fault of ours keeps its stack on stderr; what is reported of the shard is a line. */
function failureOf(error: unknown): Failure {
  if (error instanceof UserError) return { message: error.message, hint: error.hint ?? null, expected: true }
  if (!(error instanceof Error && error.name === "AbortError"))
    process.stderr.write(`${printableLines(inspect(error))}\n`)
  return { message: `unexpected: ${oneLine(String(error), 500)}`, hint: null, expected: false }
}
