import { expect, test } from "vitest"
import { largestFirst } from "./largest-first.ts"
import { Random } from "./random.ts"

test("the same places as by sorting all, equal values in their order, for any number of them", () => {
  const random = Random.of(1, "largest")
  for (const count of [0, 1, 5, 63, 64, 65, 1000])
    for (const most of [1, 2, 5, 64, 500, 2000]) {
      // Few different values, so that many are equal.
      const values = Float32Array.from({ length: count }, () => Math.floor(random.uniform(-8, 8)))
      const sorted = [...values.keys()].sort((a, b) => values[b]! - values[a]! || a - b)
      expect(largestFirst(values, most)).toEqual(sorted.slice(0, most))
    }
})

test("values in any order: rising ones replace all that were kept", () => {
  const rising = Float32Array.from({ length: 10_000 }, (_, i) => i)
  expect(largestFirst(rising, 3)).toEqual([9999, 9998, 9997])
  expect(largestFirst(rising.slice().reverse(), 3)).toEqual([0, 1, 2])
})
