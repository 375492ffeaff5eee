import { expect, test } from "vitest"
import { wilson } from "../../evaluate/wilson.ts"
import { covers, differenceInterval, meanInterval } from "./intervals.ts"

test("the interval of a difference is Newcombe's: 56 of 70 and 48 of 80", () => {
  const estimate = (right: number, answers: number) => ({
    value: right / answers,
    interval: wilson(right / answers, answers),
  })
  const { low, high } = differenceInterval(estimate(48, 80), estimate(56, 70))
  expect(low).toBeCloseTo(0.0524, 4)
  expect(high).toBeCloseTo(0.3339, 4)
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
