import { expect, test } from "vitest"
import { wilson } from "./wilson.ts"

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

test("all and none right have an interval that ends there, and is not empty", () => {
  expect(wilson(0, 4)).toEqual({ low: 0, high: expect.closeTo(0.4899, 4) })
  expect(wilson(1, 4)).toEqual({ low: expect.closeTo(0.5101, 4), high: 1 })
})
