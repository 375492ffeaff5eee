/**
 * What waits for a tower: bounded, the urgent first, taken in batches. An idle tower takes what is there at once; while it
 * computes, more gathers, and the next batch is as large as it has become. `maxDelay` makes an idle tower wait for company, until
 * a batch is full.
 */
import { setTimeout as sleep } from "node:timers/promises"

/** A query of a person comes before bulk work. */
export const priorities = ["query", "bulk"] as const
export type Priority = (typeof priorities)[number]

export interface QueueOptions<Item, Result> {
  /** Items of a priority that may wait: bulk work that fills its list refuses no query. */
  readonly mostWaiting: number
  /** Items that are computed at once, in one batch. */
  readonly batchSize: number
  /** Batches that are under way at a time. */
  readonly slots: number
  /** Milliseconds that an idle tower waits for more; default: 0. */
  readonly maxDelay?: number
  /** In the order of the items. An Error among the results is that item's alone. */
  readonly compute: (items: readonly Item[], signal: AbortSignal) => Promise<readonly (Result | Error)[]>
  /** Items that cost alike are computed together: the shortest difference wins. Default: in the order of their coming. */
  readonly cost?: (item: Item) => number
}

interface Waiting<Item, Result> {
  readonly item: Item
  readonly signal: AbortSignal | undefined
  readonly resolve: (result: Result) => void
  readonly reject: (error: unknown) => void
}

/** Milliseconds that a batch of bulk work may take, at the pace of late. */
const bulkTurn = 250

/** There is no room for more of this priority. */
export class QueueFull extends Error {
  /** @param seconds until there may be room */
  constructor(readonly seconds: number) {
    super("too many requests are waiting")
  }
}

export class TaskQueue<Item, Result> {
  readonly counts = { items: 0, batches: 0, refused: 0 }
  private readonly lists: Record<Priority, Waiting<Item, Result>[]> = { query: [], bulk: [] }
  private underWay = 0
  private gathering = false
  /** Milliseconds that an item takes, as of late. */
  private pace = 0

  constructor(private readonly options: QueueOptions<Item, Result>) {}

  get waiting(): number {
    return this.lists.query.length + this.lists.bulk.length
  }

  /** All or none: what does not fit is refused before any of it is computed. Throws QueueFull; at once, the signal's reason. */
  async add(items: readonly Item[], priority: Priority, signal?: AbortSignal): Promise<Result[]> {
    signal?.throwIfAborted()
    this.requireRoom(items.length, priority)
    const own: Waiting<Item, Result>[] = []
    const results = items.map(
      (item) => new Promise<Result>((resolve, reject) => own.push({ item, signal, resolve, reject })),
    )
    this.lists[priority].push(...own)
    const leave = () => this.drop(own, priority, signal!.reason)
    signal?.addEventListener("abort", leave, { once: true })
    void this.gather()
    try {
      return await Promise.all(results)
    } finally {
      signal?.removeEventListener("abort", leave)
    }
  }

  private requireRoom(count: number, priority: Priority): void {
    const { length } = this.lists[priority]
    // A request that is larger than the queue is let in where nobody waits.
    if (length === 0 || length + count <= this.options.mostWaiting) return
    this.counts.refused += count
    throw new QueueFull(this.secondsUntilRoom(count, priority))
  }

  /** At the pace of late, with all that is more urgent before it. */
  private secondsUntilRoom(count: number, priority: Priority): number {
    const { length } = this.lists[priority]
    const excess = Math.min(length, length + count - this.options.mostWaiting)
    const before = priority === "bulk" ? this.lists.query.length : 0
    return Math.max(1, Math.ceil(((before + excess) * this.pace) / 1000))
  }

  /** What nobody waits for any more. */
  private drop(gone: readonly Waiting<Item, Result>[], priority: Priority, reason: unknown): void {
    const leaving = new Set(gone)
    this.lists[priority] = this.lists[priority].filter((each) => !leaving.has(each))
    for (const { reject } of gone) reject(reason)
  }

  private async gather(): Promise<void> {
    const { maxDelay = 0, batchSize } = this.options
    if (maxDelay > 0 && this.underWay === 0 && this.waiting < batchSize) {
      if (this.gathering) return
      this.gathering = true
      await sleep(maxDelay)
      this.gathering = false
    }
    this.start()
  }

  private start(): void {
    const { slots } = this.options
    while (this.underWay < slots && this.waiting > 0) {
      void this.compute(this.take())
    }
  }

  private take(): Waiting<Item, Result>[] {
    const { cost } = this.options
    const isQuery = this.lists.query.length > 0
    const list = isQuery ? this.lists.query : this.lists.bulk
    const batchSize = isQuery ? this.options.batchSize : this.bulkBatch()
    const first = list[0]!
    if (!cost || list.length <= batchSize) return list.splice(0, batchSize)
    // The one that waits longest always goes; those that cost about as much go with it.
    const near = [...list].sort(
      (a, b) => Math.abs(cost(a.item) - cost(first.item)) - Math.abs(cost(b.item) - cost(first.item)),
    )
    const chosen = new Set([first, ...near.filter((each) => each !== first)].slice(0, batchSize))
    list.splice(0, list.length, ...list.filter((each) => !chosen.has(each)))
    return [...chosen]
  }

  /** Small enough that a query which comes meanwhile does not wait long. */
  private bulkBatch(): number {
    const { batchSize } = this.options
    return this.pace === 0 ? batchSize : Math.max(1, Math.min(batchSize, Math.floor(bulkTurn / this.pace)))
  }

  private async compute(batch: readonly Waiting<Item, Result>[]): Promise<void> {
    const began = performance.now()
    this.underWay++
    this.counts.items += batch.length
    this.counts.batches++
    try {
      const results = await this.options.compute(
        batch.map(({ item }) => item),
        leftAlone(batch),
      )
      batch.forEach(({ resolve, reject }, i) => {
        const result = results[i]!
        if (result instanceof Error) reject(result)
        else resolve(result)
      })
    } catch (error) {
      for (const { reject } of batch) reject(error)
    } finally {
      this.underWay--
      this.notePace((performance.now() - began) / batch.length / this.options.slots)
      this.start()
    }
  }

  /** @param each milliseconds */
  private notePace(each: number): void {
    this.pace = this.pace === 0 ? each : 0.9 * this.pace + 0.1 * each
  }
}

/** Aborts when nobody waits for the batch any more. */
function leftAlone(batch: readonly { readonly signal: AbortSignal | undefined }[]): AbortSignal {
  const stop = new AbortController()
  const leave = () => {
    if (batch.every(({ signal }) => signal?.aborted)) stop.abort()
  }
  for (const signal of new Set(batch.map((each) => each.signal)))
    signal?.addEventListener("abort", leave, { once: true })
  return stop.signal
}
