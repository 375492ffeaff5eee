/**
 * A random choice from a stream of unknown length: the `count` items whose keys come first in an order that only the
 * seed decides. So it does not depend on how samples lie in shards, and two runs over one dataset choose the same.
 */
import { Random } from "../../core/arrays/random.ts"

interface Ranked<T> {
  readonly rank: number
  readonly key: string
  readonly item: T
}

export class RandomPick<T> {
  /** By rank, the first first. */
  private readonly chosen: Ranked<T>[] = []

  constructor(
    private readonly count: number,
    private readonly seed: number,
  ) {}

  /** What is not chosen is not held. */
  offer(key: string, item: T): void {
    if (this.count === 0) return
    const ranked = { rank: Random.of(this.seed, "pick", key).uint32(), key, item }
    const last = this.chosen.at(-1)
    if (this.chosen.length === this.count && (!last || !isBefore(ranked, last))) return
    const place = this.chosen.findIndex((other) => isBefore(ranked, other))
    this.chosen.splice(place < 0 ? this.chosen.length : place, 0, ranked)
    if (this.chosen.length > this.count) this.chosen.pop()
  }

  items(): T[] {
    return this.chosen.map(({ item }) => item)
  }
}

function isBefore(a: Ranked<unknown>, b: Ranked<unknown>): boolean {
  return a.rank < b.rank || (a.rank === b.rank && a.key < b.key)
}
