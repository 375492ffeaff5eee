/** A thread of the pool (`pool.ts`): fills rows, one request after the other. */
import { parentPort, workerData } from "node:worker_threads"
import { messageOf, UserError } from "../../core/errors.ts"
import { Tokenizer } from "../../core/tokenizer.ts"
import { type FillSettings, type RowFailure, RowFiller, type RowRequest } from "./fill.ts"
import type { Slot } from "./slot.ts"

export interface FillRequest {
  readonly id: number
  readonly slot: Slot
  readonly requests: readonly RowRequest[]
}

export type FillReply =
  | { readonly id: number; readonly failures: readonly RowFailure[] }
  /** Something else than samples is wrong. */
  | { readonly id: number; readonly error: { readonly message: string; readonly isUserError: boolean } }

const filler = new RowFiller(workerData as FillSettings, new Tokenizer())
/** A request waits for the one before it, for rows are made one by one. */
let last: Promise<void> = Promise.resolve()

parentPort?.on("message", (request: FillRequest) => {
  last = last.then(() => answer(request))
})

async function answer({ id, slot, requests }: FillRequest): Promise<void> {
  const reply = (message: FillReply) => parentPort!.postMessage(message)
  try {
    reply({ id, failures: await filler.fill(slot, requests) })
  } catch (error) {
    reply({ id, error: { message: messageOf(error), isUserError: error instanceof UserError } })
  }
}
