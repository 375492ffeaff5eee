/** How numbers are spread, counted without holding them: whole numbers from 0 on. */

export interface Spread {
  readonly count: number
  readonly min: number
  readonly mean: number
  readonly median: number
  /** 95 of 100 are not above it. */
  readonly p95: number
  readonly max: number
}

/** Values from `from` to `to`, both included. */
export interface Bin {
  readonly from: number
  readonly to: number
  readonly count: number
}

/** How often each value was counted. */
export type Counts = ReadonlyMap<number, number>

export class Counter {
  count = 0
  private readonly times = new Map<number, number>()

  add(value: number, times = 1): void {
    this.count += times
    this.times.set(value, (this.times.get(value) ?? 0) + times)
  }

  addAll(counts: Counts): void {
    for (const [value, times] of counts) this.add(value, times)
  }

  get counts(): Counts {
    return this.times
  }

  /** Null where nothing was counted. */
  spread(): Spread | null {
    const sorted = this.sorted()
    const { count } = this
    if (count === 0) return null
    const total = sorted.reduce((sum, [value, times]) => sum + value * times, 0)
    const at = (share: number) => valueAt(sorted, Math.ceil(share * count))
    return { count, min: sorted[0]![0], mean: total / count, median: at(0.5), p95: at(0.95), max: sorted.at(-1)![0] }
  }

  /** Bins of `width` values from 0 to the largest. */
  histogram(width: number): Bin[] {
    const largest = Math.max(...this.times.keys())
    const bins = Number.isFinite(largest) ? Math.floor(largest / width) + 1 : 0
    const histogram = Array.from({ length: bins }, (_, i) => ({ from: i * width, to: (i + 1) * width - 1, count: 0 }))
    for (const [value, times] of this.times) histogram[Math.floor(value / width)]!.count += times
    return histogram
  }

  /** How many are larger. */
  above(limit: number): number {
    return this.sorted().reduce((sum, [value, times]) => sum + (value > limit ? times : 0), 0)
  }

  private sorted(): [value: number, times: number][] {
    return [...this.times].sort(([a], [b]) => a - b)
  }
}

/** The value of the `place`-th in order, from 1. */
function valueAt(sorted: readonly [number, number][], place: number): number {
  let seen = 0
  for (const [value, times] of sorted) {
    seen += times
    if (seen >= place) return value
  }
  return sorted.at(-1)![0]
}
