import { expect, test } from "vitest"
import { Random } from "../core/arrays/random.ts"
import { sampleCandidates } from "./caption-loss.ts"

const labels = BigInt64Array.of(7n, 90n, 7n, 3n)

test("the words that occur come once, with no offset, and labels are their indices", () => {
  const { ids, offsets, labels: places } = sampleCandidates(labels, 100, 10, Random.of(1))
  expect([...ids.subarray(0, 3)]).toEqual([7n, 90n, 3n])
  expect([...places]).toEqual([0n, 1n, 0n, 2n])
  expect([...offsets.subarray(0, 3)]).toEqual([0, 0, 0])
  expect(new Set(offsets.subarray(3))).toEqual(new Set([Math.fround(Math.log(10))]))
  expect(new Set(ids).size).toBe(ids.length)
})

test("the estimated sum has the full one's expectation", () => {
  const scores = Float64Array.from({ length: 100 }, (_, i) => 1 + ((i * 37) % 100) / 50)
  const full = scores.reduce((a, b) => a + b)
  const estimates = Array.from({ length: 4000 }, (_, seed) => {
    const { ids, offsets } = sampleCandidates(labels, 100, 8, Random.of(seed))
    return ids.reduce((sum, id, i) => sum + scores[Number(id)]! * Math.exp(offsets[i]!), 0)
  })
  expect(estimates.reduce((a, b) => a + b) / estimates.length / full).toBeCloseTo(1, 2)
})

test.each([100, 250])("a sample of all words or more (%i) is the full vocabulary", (negatives) => {
  const { ids, offsets } = sampleCandidates(labels, 100, negatives, Random.of(0))
  expect([...ids].map(Number).sort((a, b) => a - b)).toEqual([...new Array(100).keys()])
  expect(offsets.every((offset) => offset === 0)).toBe(true)
})
