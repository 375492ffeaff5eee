/** The child's side: opens what it works with once, then does the tasks that its parent sends, several at a time. */
import { inspect } from "node:util"
import { Worker } from "node:worker_threads"
import { toMessage } from "../../core/error-message.ts"
import { UserError } from "../../core/errors.ts"
import { printableLines } from "../../core/printable.ts"
import { workerFile } from "../../host/worker-file.ts"
import type { FromChild, ToChild } from "./messages.ts"

export interface Work<Description, Task, Answer> {
  readonly description: Description
  do(task: Task, signal: AbortSignal): Promise<Answer>
}

/** Serves the process that forked this one until its channel closes. The parent decides what signals mean. */
export function serveParent<Settings, Description, Task, Answer>(
  open: (settings: Settings) => Promise<Work<Description, Task, Answer>>,
): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {})
  process.stderr.on("error", () => {})
  const send = (message: FromChild<Description, Answer>) => {
    if (process.connected) process.send!(message, undefined, undefined, () => {})
  }
  const running = new Map<number, AbortController>()
  let work: Promise<Work<Description, Task, Answer>> | null = null
  const run = async (id: number, task: Task) => {
    const stop = new AbortController()
    running.set(id, stop)
    try {
      const answer = await (await work!).do(task, stop.signal)
      send({ kind: "done", id, answer, residentBytes: process.memoryUsage.rss() })
    } catch (error) {
      send({ kind: "failed", id, error: toMessage(told(error, stop.signal)) })
    } finally {
      running.delete(id)
    }
  }
  const begin = (settings: Settings) => {
    work = open(settings)
    work.then(
      ({ description }) => send({ kind: "ready", description }),
      (error) => send({ kind: "failed", id: null, error: toMessage(told(error)) }),
    )
  }
  process.on("message", (message: ToChild<Settings, Task>) => {
    if (message.kind === "abort") running.get(message.id)?.abort()
    else if (message.kind === "task") void run(message.id, message.task)
    else if (message.kind === "ping") send({ kind: "pong" })
    else begin(message.settings)
  })
  process.on("disconnect", () => process.exit(0))
  new Worker(workerFile(import.meta.url, "orphan-watch"), { workerData: process.ppid }).unref()
}

/** A fault of ours leaves its stack on stderr. */
function told(error: unknown, signal?: AbortSignal): unknown {
  if (!(error instanceof UserError) && !signal?.aborted) process.stderr.write(`${printableLines(inspect(error))}\n`)
  return error
}
