/**
 * Writes checkpoints in a thread: a training step blocks the event loop, and a file that is written between steps would take as
 * many steps as it has pieces.
 */
import { Worker } from "node:worker_threads"
import { messageOf, UserError } from "../../core/errors.ts"
import { workerFile } from "../../host/worker-file.ts"
import type { TrainingState } from "./state.ts"

/** What the thread is told, and what it answers. */
export interface SaveRequest {
  readonly directory: string
  readonly state: TrainingState
  readonly keep: number
}

export type SaveAnswer =
  | { readonly kind: "saved" }
  | { readonly kind: "failed"; readonly message: string; readonly hint?: string | undefined }

export class CheckpointWriter implements AsyncDisposable {
  private worker: Worker | null = null

  /**
   * The state is copied before this returns; there is one save at a time. Throws UserError when the file cannot be written, or
   * when the thread ends before it is written; the next save has a new thread.
   */
  async save(request: SaveRequest): Promise<void> {
    this.worker ??= this.start()
    const answer = await answerOf(this.worker, request)
    if (answer.kind === "failed") throw new UserError(answer.message, answer.hint)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.worker?.terminate()
  }

  private start(): Worker {
    const worker = new Worker(workerFile(import.meta.url, "save-worker"))
    const forget = () => {
      if (this.worker === worker) this.worker = null
    }
    return worker.once("error", forget).once("exit", forget)
  }
}

/** A thread that runs out of memory reports an error and exits; one that is terminated only exits. */
async function answerOf(worker: Worker, request: SaveRequest): Promise<SaveAnswer> {
  const settled = new AbortController()
  try {
    return await new Promise((resolve, reject) => {
      const fail = (why: string, cause?: unknown) =>
        reject(new UserError(`the thread that writes checkpoints ended: ${why}`, "is there enough memory?", { cause }))
      listen(worker, settled.signal, {
        message: resolve,
        error: (error) => fail(messageOf(error), error),
        exit: (code) => fail(`exit code ${code}`),
      })
      worker.postMessage(request)
    })
  } finally {
    settled.abort()
  }
}

interface Listeners {
  message(answer: SaveAnswer): void
  error(error: unknown): void
  exit(code: number): void
}

function listen(worker: Worker, signal: AbortSignal, listeners: Listeners): void {
  for (const [event, listener] of Object.entries(listeners)) {
    worker.on(event, listener)
    signal.addEventListener("abort", () => worker.off(event, listener))
  }
}
