import { expect, test } from "vitest"
import { median, quantile } from "./quantile.ts"

test("the median is the middle value, or the mean of the two in the middle, whatever the order", () => {
  expect(median([9, 1, 5])).toBe(5)
  expect(median(Float64Array.of(9, 1, 5, 6))).toBe(5.5)
  expect(median([7])).toBe(7)
})

test("a quantile lies between two values by a straight line, as NumPy's does", () => {
  const upTo101 = Array.from({ length: 101 }, (_, i) => i + 1)
  expect(quantile(upTo101, 0.95)).toBe(96)
  expect(quantile([40, 10, 20, 30], 0.95)).toBeCloseTo(38.5, 12)
  expect(quantile([3], 0.95)).toBe(3)
  expect([0, 1].map((share) => quantile([10, 2], share))).toEqual([2, 10])
})
