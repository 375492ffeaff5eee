/** Asynchronous work on several items at once, with results in the items' order. */

/**
 * `work(item)` of every item, in order, with at most `limit` of them under way. The first error that is reached in
 * order is thrown; later ones are dropped.
 */
export async function* mapOrdered<T, R>(
  items: AsyncIterable<T> | Iterable<T>,
  limit: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const underWay: Promise<R>[] = []
  for await (const item of items) {
    const result = work(item)
    // An error waits here until its turn; without this, Node would end the process for it.
    result.catch(() => {})
    underWay.push(result)
    if (underWay.length >= limit) yield await underWay.shift()!
  }
  for (const result of underWay) yield await result
}

/** The same items; up to `ahead` of them are computed before they are asked for. */
export async function* prefetched<T>(items: AsyncIterable<T>, ahead: number): AsyncGenerator<T> {
  const iterator = items[Symbol.asyncIterator]()
  const waiting: Promise<IteratorResult<T>>[] = []
  const ask = () => {
    const next = iterator.next()
    next.catch(() => {})
    waiting.push(next)
  }
  try {
    for (ask(); ; ) {
      while (waiting.length <= ahead) ask()
      const next = await waiting.shift()!
      if (next.done) return
      yield next.value
    }
  } finally {
    await Promise.allSettled(waiting)
    await iterator.return?.()
  }
}

/**
 * Work on each item, so many at once: memory is taken for these alone. After a failure none is begun; the one that is first by
 * its place is thrown.
 */
export async function forEachConcurrently<Item>(
  items: readonly Item[],
  atOnce: number,
  work: (item: Item, place: number) => Promise<void>,
): Promise<void> {
  const waiting = items.entries()
  const failures = new Map<number, unknown>()
  const lane = async () => {
    for (const [place, item] of waiting) {
      if (failures.size > 0) return
      await work(item, place).catch((error) => failures.set(place, error))
    }
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
  if (failures.size > 0) throw failures.get(Math.min(...failures.keys()))
}

/** All values; the failure that is first by its place, whichever came first in time. */
export async function inOrder<T>(work: readonly Promise<T>[]): Promise<T[]> {
  const settled = await Promise.allSettled(work)
  return settled.map((one) => {
    if (one.status === "rejected") throw one.reason
    return one.value
  })
}
