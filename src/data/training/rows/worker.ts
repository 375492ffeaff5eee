/** A thread of the pool (`pool.ts`). */
import { Tokenizer } from "../../../core/text/tokenizer.ts"
import { serveThread } from "../../../host/thread-pool.ts"
import { type Filled, type FillSettings, RowFiller } from "./fill.ts"
import type { FillRequest } from "./pool.ts"

serveThread((settings: FillSettings, isStopped) => {
  const filler = new RowFiller(settings, new Tokenizer(), isStopped)
  /** A request waits for the one before it, for rows are made one by one. */
  let last: Promise<unknown> = Promise.resolve()
  return {
    answer({ slot, requests }: FillRequest): Promise<Filled> {
      const filled = last.then(() => filler.fill(slot, requests))
      last = filled.catch(() => {})
      return filled
    },
    [Symbol.dispose]: () => filler[Symbol.dispose](),
  }
})
