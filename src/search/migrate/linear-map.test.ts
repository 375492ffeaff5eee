/** Linear algebra and maps against references that are computed another way, in float64. */
import { expect, test } from "vitest"
import { l2Normalize } from "../../core/arrays/similarity.ts"
import { atOnce } from "../../core/turns.ts"
import { applyMap, fitLinearMap } from "./linear-map.ts"
import { cholesky, matrix, orthogonalFactor, product, solveCholesky, transposedProduct } from "./matrix.ts"

/** Uniform in -1..1, the same in each run. */
function numbers(count: number, seed: number) {
  let state = seed
  return Float64Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 31 - 1
  })
}

const unit = (count: number, dim: number, seed: number) =>
  l2Normalize(Float32Array.from(numbers(count * dim, seed)), dim)

test("products, Cholesky's triangle and its solution, by hand", () => {
  const a = matrix(2, 2, Float64Array.of(4, 2, 2, 5))
  expect([...cholesky(a)!.data]).toEqual([2, 0, 1, 2])
  // 4x + 2y = 8 and 2x + 5y = 12 at x = 1, y = 2.
  const x = solveCholesky(cholesky(a)!, matrix(2, 1, Float64Array.of(8, 12)))
  expect([...x.data]).toEqual([1, 2])
  expect([...product(a, a).data]).toEqual([20, 18, 18, 29])
  const tall = matrix(3, 2, Float64Array.of(1, 2, 3, 4, 5, 6))
  expect([...transposedProduct(tall, tall).data]).toEqual([35, 44, 44, 56])
  expect(cholesky(matrix(2, 2, Float64Array.of(1, 2, 2, 1)))).toBeNull()
})

test("the orthogonal factor has orthonormal rows or columns, and leaves a symmetric positive rest", () => {
  for (const [rows, columns] of [
    [5, 5],
    [7, 4],
    [4, 7],
  ] as const) {
    const m = matrix(rows, columns, numbers(rows * columns, 3))
    const q = orthogonalFactor(m)
    const transposed = matrix(columns, rows)
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) transposed.data[j * rows + i] = q.data[i * columns + j]!
    const gram = rows < columns ? product(q, transposed) : transposedProduct(q, q)
    gram.data.forEach((value, i) => {
      expect(value).toBeCloseTo(i % (gram.columns + 1) === 0 ? 1 : 0, 9)
    })
    const rest = rows < columns ? product(m, transposed) : transposedProduct(q, m)
    for (let i = 0; i < rest.rows; i++)
      for (let j = 0; j < i; j++)
        expect(rest.data[i * rest.columns + j]).toBeCloseTo(rest.data[j * rest.columns + i]!, 9)
  }
})

test("short directions become as long as the others, and those that are nothing stay so", () => {
  const [u, v] = [orthogonalFactor(matrix(9, 4, numbers(36, 11))), orthogonalFactor(matrix(4, 4, numbers(16, 12)))]
  const composed = (lengths: number[]) => {
    const scaled = matrix(
      9,
      4,
      u.data.map((value, i) => value * lengths[i % 4]!),
    )
    return product(scaled, v)
  }
  const near = (found: Float64Array, wanted: Float64Array) => {
    for (const [i, value] of found.entries()) expect(Math.abs(value - wanted[i]!)).toBeLessThan(1e-7)
  }
  const wanted = composed([1, 1, 1, 1])
  near(orthogonalFactor(composed([1e6, 3, 0.2, 0.1])).data, wanted.data)
  const without = composed([1, 1, 1, 0])
  near(orthogonalFactor(composed([5, 2, 1, 0])).data, without.data)
})

test("vectors that are related linearly are mapped exactly, also to another length", () => {
  const [count, from, to] = [200, 12, 8]
  const x = unit(count, from, 1)
  const w = matrix(from, to, numbers(from * to, 2))
  // Scaled alike, so that the relation stays linear: what the map gives is brought to unit length afterwards.
  const linear = Float32Array.from(product(matrix(count, from, Float64Array.from(x)), w).data)
  const { map, meanCosine } = atOnce(fitLinearMap(x, linear, from, to))
  const wanted = l2Normalize(linear.slice(), to)
  const found = applyMap(map, x)
  // float32 inputs: a relative error of 2^-24 in each of 12 products.
  for (const [i, value] of found.entries()) expect(Math.abs(value - wanted[i]!)).toBeLessThan(2e-6)
  expect(Number.isFinite(meanCosine)).toBe(true)
})

test("a rotation is found, and what is held out is as near as what was learnt", () => {
  const x = unit(100, 6, 4)
  const q = orthogonalFactor(matrix(6, 6, numbers(36, 5)))
  const y = Float32Array.from(product(matrix(100, 6, Float64Array.from(x)), q).data)
  const { heldOut, meanCosine } = atOnce(fitLinearMap(x, y, 6, 6))
  expect(meanCosine).toBeGreaterThan(1 - 1e-6)
  for (const [i, value] of heldOut.entries()) expect(Math.abs(value - y[i]!)).toBeLessThan(1e-5)
})

test("vectors that have nothing to do with each other are not said to be mapped well", () => {
  expect(atOnce(fitLinearMap(unit(300, 10, 6), unit(300, 10, 7), 10, 10)).meanCosine).toBeLessThan(0.2)
})

test("a row without a vector stays without one", () => {
  const { map } = atOnce(fitLinearMap(unit(100, 4, 8), unit(100, 4, 9), 4, 4))
  expect([...applyMap(map, new Float32Array(4).fill(Number.NaN))].every(Number.isNaN)).toBe(true)
})
