/** A thread of the pool (`pool.ts`): makes views, one request after the other. */
import { parentPort } from "node:worker_threads"
import { messageOf, UserError } from "../../core/errors.ts"
import { type MadeViews, makeViews, type ViewRequest } from "./views.ts"

export interface WorkerRequest {
  readonly id: number
  readonly request: ViewRequest
  readonly spares: Float32Array<ArrayBuffer>[]
}

export type WorkerReply =
  | { readonly id: number; readonly made: MadeViews }
  | { readonly id: number; readonly failure: WorkerFailure }

/** An error, for a class does not survive the way between threads. */
export interface WorkerFailure {
  readonly message: string
  readonly hint: string | undefined
  readonly isUserError: boolean
}

parentPort?.on("message", async ({ id, request, spares }: WorkerRequest) => {
  try {
    const made = await makeViews(request, spares)
    reply({ id, made }, [...new Set(made.pixels)])
  } catch (error) {
    const hint = error instanceof UserError ? error.hint : undefined
    reply({ id, failure: { message: messageOf(error), hint, isUserError: error instanceof UserError } })
  }
})

function reply(message: WorkerReply, arrays: readonly Float32Array<ArrayBuffer>[] = []): void {
  parentPort!.postMessage(
    message,
    arrays.map(({ buffer }) => buffer),
  )
}
