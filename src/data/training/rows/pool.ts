/** Threads that fill batches in shared memory. What a batch holds does not depend on their number; with none, the caller's does it. */
import type { Tokenizer } from "../../../core/text/tokenizer.ts"
import { ThreadPool } from "../../../host/thread-pool.ts"
import { type Filled, type FillSettings, RowFiller, type RowRequest } from "./fill.ts"
import type { Slot } from "./slot.ts"

export interface FillRequest {
  /** Its arrays are shared, not copied. */
  readonly slot: Slot
  readonly requests: readonly RowRequest[]
}

const nothing: Filled = { failures: [], cutOff: [] }

export class FillPool implements AsyncDisposable {
  private readonly pool: ThreadPool<FillRequest, Filled>
  private readonly here: RowFiller
  /** Into so many parts a batch is divided. */
  private readonly shares: number

  constructor(
    threads: number,
    private readonly settings: FillSettings,
    tokenizer: Tokenizer,
  ) {
    this.shares = Math.max(threads, 1)
    this.here = new RowFiller(settings, tokenizer)
    this.pool = new ThreadPool({
      program: [import.meta.url, "worker"],
      name: "training rows",
      threads,
      settings: { ...settings, cacheBytes: settings.cacheBytes / this.shares } satisfies FillSettings,
      // A training step holds the event loop, so that threads are told beforehand of all batches that have a slot.
      inFlight: Number.POSITIVE_INFINITY,
      here: ({ slot, requests }) => this.here.fill(slot, requests),
    })
  }

  /** Fills rows of the slot. */
  async fill(slot: Slot, requests: readonly RowRequest[]): Promise<Filled> {
    const filled = await Promise.all(
      Array.from({ length: this.shares }, (_, thread) => {
        const own = requests.filter((request) => this.threadOf(request) === thread)
        return own.length === 0 ? nothing : this.pool.ask({ slot, requests: own }, { thread })
      }),
    )
    return {
      failures: filled.flatMap(({ failures }) => failures),
      cutOff: filled.flatMap(({ cutOff }) => cutOff),
    }
  }

  /** Ends the threads; what is under way is rejected. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool[Symbol.asyncDispose]()
    this.here[Symbol.dispose]()
  }

  /** Where samples are kept decoded, each by one thread; else even shares. */
  private threadOf({ id, row }: RowRequest): number {
    return (this.settings.cacheBytes > 0 ? id : row) % this.shares
  }
}
