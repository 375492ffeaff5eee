/** What is said of the times of repeated runs. */
import { median } from "../../core/arrays/quantile.ts"

/** Fewer samples have no two of them that enclose the median with 95 % confidence. */
const fewest = 6

/**
 * Half of the width of the median's 95 % confidence interval over the median; Infinity where the samples are too few. The
 * interval is that of two order statistics, so it supposes nothing about how the times are distributed.
 */
export function medianError(samples: readonly number[]): number {
  const count = samples.length
  if (count < fewest) return Number.POSITIVE_INFINITY
  const sorted = samples.toSorted((a, b) => a - b)
  // The number of samples below the median is binomial: mean count / 2, standard deviation sqrt(count) / 2.
  const reach = 1.96 * (Math.sqrt(count) / 2)
  const low = sorted[Math.max(0, Math.floor(count / 2 - reach))]!
  const high = sorted[Math.min(count - 1, Math.ceil(count / 2 + reach) - 1)]!
  return (high - low) / 2 / median(samples)
}

/** By how many percent the rate at the end is above the one at the beginning; negative where the machine became slower. */
export function driftPercent(begin: number, end: number): number {
  return 100 * (end / begin - 1)
}
