/**
 * Work on each item, so many at once: memory is taken for these alone. After a failure none is begun; the one that is first by
 * its place is thrown.
 */
export async function inTurns<Item>(
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
