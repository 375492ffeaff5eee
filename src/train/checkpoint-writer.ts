/**
 * Writes checkpoints in a thread: a training step holds the event loop, and a file that is written between steps would take as
 * many of them as it has pieces.
 */
import { Worker } from "node:worker_threads"
import { UserError } from "../core/errors.ts"
import { workerFile } from "../host/worker-file.ts"
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

  /** The state is copied before this returns; one save at a time. Throws UserError when the file cannot be written. */
  save(request: SaveRequest): Promise<void> {
    this.worker ??= new Worker(workerFile(import.meta.url, "save-worker"))
    const { worker } = this
    return new Promise((resolve, reject) => {
      worker.once("message", (answer: SaveAnswer) => {
        worker.off("error", reject)
        if (answer.kind === "saved") resolve()
        else reject(new UserError(answer.message, answer.hint))
      })
      worker.once("error", reject)
      worker.postMessage(request)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.worker?.terminate()
  }
}
