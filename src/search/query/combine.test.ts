import { expect, test } from "vitest"
import { UserError } from "../../core/errors.ts"
import { combine, type WeightedVector } from "./combine.ts"

const term = (vector: number[], weight: number): WeightedVector => ({ vector: Float32Array.from(vector), weight })

test("the weighted sum, of unit length", () => {
  const vector = combine([term([1, 0, 0], 2), term([0, 1, 0], -1)])
  // 2 / sqrt(5), -1 / sqrt(5), in float32.
  expect([...vector]).toEqual([Math.fround(2 / Math.sqrt(5)), Math.fround(-1 / Math.sqrt(5)), 0])
  expect([...combine([term([0.6, 0.8], 7)])]).toEqual([0.6, 0.8].map(Math.fround))
})

test("scale of all weights changes nothing", () => {
  const parts = [term([0.6, 0.8], 1), term([1, 0], -0.3)]
  const scaled = parts.map((part) => ({ ...part, weight: part.weight * 1000 }))
  const [a, b] = [combine(parts), combine(scaled)]
  // One rounding of float32 apart.
  expect(Math.max(...a.map((value, d) => Math.abs(value - b[d]!)))).toBeLessThan(1e-7)
})

test("terms that cancel each other are refused, also where rounding leaves a rest", () => {
  expect(() => combine([term([1, 0], 1), term([1, 0], -1)])).toThrow(UserError)
  const third = Math.fround(1 / Math.sqrt(3))
  const almost = term([third, third, third + 1e-7], -1)
  expect(() => combine([term([third, third, third], 1), almost])).toThrow("cancel each other")
})

test("a vector that is not of unit length, or of another model, is our fault", () => {
  expect(() => combine([term([2, 0], 1)])).toThrow("unit length")
  expect(() => combine([term([Number.NaN, 0], 1)])).toThrow("unit length")
  expect(() => combine([term([1, 0], 1), term([1, 0, 0], 1)])).toThrow("one length")
})
