/**
 * Writes checkpoints in a thread: a training step blocks the event loop, and a file that is written between steps would take as
 * many steps as it has pieces.
 */
import { UserError } from "../../core/errors.ts"
import { ThreadPool } from "../../host/thread-pool.ts"
import type { TrainingState } from "./state.ts"

export interface SaveRequest {
  readonly directory: string
  readonly state: TrainingState
  readonly keep: number
}

/**
 * Saves one state at a time. Values in shared memory are read where they are, and must stay until the answer; others are
 * copied when it is asked. Asking throws UserError when the file cannot be written, or
 * the thread ends before it is; the next save has a new one.
 */
export function checkpointWriter(): ThreadPool<SaveRequest, void> {
  return new ThreadPool({
    program: [import.meta.url, "save-worker"],
    name: "checkpoints",
    threads: 1,
    ended: (why, cause) =>
      new UserError(`the thread that writes checkpoints ended: ${why}`, "is there enough memory?", { cause }),
  })
}
