/** A thread of the pool (`pool.ts`): fills rows, one request after the other. */
import { parentPort, workerData } from "node:worker_threads"
import { EnvironmentError, messageOf, UserError } from "../../../core/errors.ts"
import { Tokenizer } from "../../../core/text/tokenizer.ts"
import { type Filled, type FillSettings, RowFiller, type RowRequest } from "./fill.ts"
import type { Slot } from "./slot.ts"

export interface FillRequest {
  readonly id: number
  readonly slot: Slot
  readonly requests: readonly RowRequest[]
}

export type FillReply =
  | { readonly id: number; readonly filled: Filled }
  /** Something else than samples is wrong. */
  | { readonly id: number; readonly error: { readonly message: string; readonly user?: UserErrorParts } }

/** What makes one again at the other end. */
export interface UserErrorParts {
  readonly hint?: string
  readonly isOfEnvironment: boolean
}

export interface WorkerSettings {
  readonly settings: FillSettings
  /** Its first number is 1 from when the data are closed on. */
  readonly stop: Int32Array
}

const { settings, stop } = workerData as WorkerSettings
const filler = new RowFiller(settings, new Tokenizer(), () => Atomics.load(stop, 0) === 1)
/** A request waits for the one before it, for rows are made one by one. */
let last: Promise<void> = Promise.resolve()

/** Null: the thread ends, behind what it was asked for. One that is ended within native code takes the process along. */
parentPort?.on("message", (request: FillRequest | null) => {
  last = last.then(() => (request ? answer(request) : end()))
})

function end(): void {
  filler[Symbol.dispose]()
  parentPort!.close()
}

async function answer({ id, slot, requests }: FillRequest): Promise<void> {
  const reply = (message: FillReply) => parentPort!.postMessage(message)
  try {
    reply({ id, filled: await filler.fill(slot, requests) })
  } catch (error) {
    reply({ id, error: { message: messageOf(error), ...(error instanceof UserError && { user: partsOf(error) }) } })
  }
}

function partsOf(error: UserError): UserErrorParts {
  const { hint } = error
  return { isOfEnvironment: error instanceof EnvironmentError, ...(hint !== undefined && { hint }) }
}
