import { expect, test } from "vitest"
import { Budget } from "./budget.ts"
import { UserError } from "./errors.ts"

test("parts are counted together, up to the total and not beyond", () => {
  const budget = new Budget(100, "a.npz")
  budget.take(60, "an array")
  budget.take(40, "an array")
  budget.take(0, "an array")
  expect(() => budget.take(1, '"b.npy"')).toThrow(UserError)
  expect(() => new Budget(100, "a.npz").take(101, '"b.npy"')).toThrow(
    'a.npz: with "b.npy" it would take 101 bytes of memory, and a file of its size may take 100',
  )
})

test.each([NaN, -1, Number.POSITIVE_INFINITY])("%s bytes are never within it", (bytes) => {
  expect(() => new Budget(100, "a.npz").take(bytes, "an array")).toThrow(UserError)
})
