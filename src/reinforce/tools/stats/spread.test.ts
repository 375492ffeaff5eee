import { expect, test } from "vitest"
import { Counter } from "./spread.ts"

function counterOf(...values: number[]): Counter {
  const counter = new Counter()
  for (const value of values) counter.add(value)
  return counter
}

test("least, mean, median, 95 of 100, most", () => {
  const values = Array.from({ length: 100 }, (_, i) => i + 1)
  expect(counterOf(...values.toReversed()).spread()).toEqual({
    ...{ count: 100, min: 1, mean: 50.5, median: 50, p95: 95, max: 100 },
  })
  expect(counterOf(3, 3, 9).spread()).toEqual({ count: 3, min: 3, mean: 5, median: 3, p95: 9, max: 9 })
  expect(new Counter().spread()).toBeNull()
})

test("bins reach from 0 to the largest value", () => {
  expect(counterOf(0, 7, 8, 20, 23).histogram(8)).toEqual([
    { from: 0, to: 7, count: 2 },
    { from: 8, to: 15, count: 1 },
    { from: 16, to: 23, count: 2 },
  ])
  expect(new Counter().histogram(8)).toEqual([])
  expect(counterOf(76, 77, 78, 90).above(77)).toBe(2)
})
