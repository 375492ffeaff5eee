import { expect, test } from "vitest"
import { median } from "../../core/arrays/quantile.ts"
import { Random } from "../../core/arrays/random.ts"
import { driftPercent, medianError } from "./statistics.ts"

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1)

test("drift is the change of the rate in percent, negative where the machine became slower", () => {
  expect(driftPercent(200, 150)).toBe(-25)
  expect(driftPercent(80, 100)).toBe(25)
  expect(driftPercent(3, 3)).toBe(0)
})

test("the median's error is half of the interval between two samples over the median", () => {
  // 100 samples: the 41st and the 60th enclose the median.
  expect(medianError(upTo(100).reverse())).toBeCloseTo((60 - 41) / 2 / 50.5, 12)
  expect(medianError([5, 5, 5, 5, 5, 5])).toBe(0)
  expect(medianError([5, 5, 5, 5, 5])).toBe(Number.POSITIVE_INFINITY)
})

test("19 of 20 such intervals hold the true median, though the times are skewed", () => {
  const random = Random.of(1, "times")
  const trials = 2000
  let held = 0
  for (let trial = 0; trial < trials; trial++) {
    // The true median is 1 + ln 2; the interval is told by how far the sample's one is away, in both directions.
    const sorted = Array.from({ length: 40 }, () => 1 - Math.log(1 - random.uniform())).sort((a, b) => a - b)
    const [low, high] = [sorted[13]!, sorted[26]!]
    expect(medianError(sorted)).toBeCloseTo((high - low) / 2 / median(sorted), 12)
    if (low <= 1 + Math.LN2 && 1 + Math.LN2 <= high) held++
  }
  expect(held / trials).toBeGreaterThan(0.94)
  expect(held / trials).toBeLessThan(0.99)
})
