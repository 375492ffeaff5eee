import { expect, test } from "vitest"
import { covers, differenceInterval, meanInterval, wilson } from "./intervals.ts"

/** As printed in Newcombe's papers of 1998: four digits. */
test.each([
  [81, 263, 0.2553, 0.3662],
  [15, 148, 0.0624, 0.1605],
  [0, 20, 0, 0.1611],
  [1, 29, 0.0061, 0.1718],
])("Wilson's interval of %i of %i is the published one", (right, answers, low, high) => {
  const interval = wilson(right / answers, answers)
  expect(interval.low).toBeCloseTo(low, 4)
  expect(interval.high).toBeCloseTo(high, 4)
})

test("the interval of a difference is Newcombe's: 56 of 70 and 48 of 80", () => {
  const estimate = (right: number, answers: number) => ({
    value: right / answers,
    interval: wilson(right / answers, answers),
  })
  const { low, high } = differenceInterval(estimate(48, 80), estimate(56, 70))
  expect(low).toBeCloseTo(0.0524, 4)
  expect(high).toBeCloseTo(0.3339, 4)
})

test("all and none right have an interval that ends there, and is not empty", () => {
  expect(wilson(0, 4)).toEqual({ low: 0, high: expect.closeTo(0.4899, 4) })
  expect(wilson(1, 4)).toEqual({ low: expect.closeTo(0.5101, 4), high: 1 })
})

test("a mean's interval adds the squares of the distances", () => {
  const estimates = [
    { value: 0.5, interval: { low: 0.47, high: 0.56 } },
    { value: 0.9, interval: { low: 0.86, high: 0.98 } },
  ]
  // Distances of 3 and 4 down, 6 and 8 up, in points, over two tasks.
  expect(meanInterval(estimates)).toEqual({ low: expect.closeTo(0.675, 12), high: expect.closeTo(0.75, 12) })
})

test("0 at the edge of an interval is covered", () => {
  expect([covers({ low: 0, high: 1 }, 0), covers({ low: -1, high: -0.01 }, 0)]).toEqual([true, false])
})
