import { expect, test } from "vitest"
import { hitsAt, PredictionCollector, predictionsOf, rankOf, topK } from "./predictions.ts"

/** Best classes: 0, 2, 1, 1; second: 1, 1, 0, 2. */
const scores = Float32Array.of(0.9, 0.5, 0.1, 0.0, 0.2, 0.3, 0.4, 0.8, 0.1, -0.5, 0.7, 0.6)
const labels = [0, 1, 1, 2]

test("the best classes come first", () => {
  expect([...topK(scores, 3, 2)]).toEqual([0, 1, 2, 1, 1, 0, 1, 2])
  expect([...topK(scores, 3, 5)]).toEqual([0, 1, 2, 2, 1, 0, 1, 0, 2, 1, 2, 0])
})

test("the first of equal scores ranks higher, and what is not a number comes last", () => {
  expect([...topK(Float32Array.of(5, 7, 5, 7, 5, 5), 6, 4)]).toEqual([1, 3, 0, 2])
  expect([...topK(Float32Array.of(2, 2, 2, 2), 4, 2)]).toEqual([0, 1])
  expect([...topK(Float32Array.of(Number.NaN, -3, Number.NaN, -1), 4, 3)]).toEqual([3, 1, 0])
})

test("the best classes are those that a full sort finds", () => {
  const [rows, classes, k] = [50, 37, 5]
  const many = Float32Array.from({ length: rows * classes }, (_, i) => (i * i * 7919) % 41)
  const expected = Array.from({ length: rows }, (_, row) => {
    const own = [...many.subarray(row * classes, (row + 1) * classes)]
    return [...own.keys()].sort((a, b) => own[b]! - own[a]! || a - b).slice(0, k)
  })
  expect([...topK(many, classes, k)]).toEqual(expected.flat())
})

test("ranks count scores that are larger, or equal and earlier", () => {
  expect(rankOf([3, 1, 2], 1)).toBe(2)
  expect([0, 1, 2].map((target) => rankOf([5, 5, 5], target))).toEqual([0, 1, 2])
})

test("blocks of pictures give what all of them give", () => {
  const collector = new PredictionCollector(3)
  collector.add(scores.subarray(0, 3), labels.slice(0, 1))
  collector.add(scores.subarray(3), labels.slice(1))
  expect(collector.result()).toEqual(predictionsOf(scores, 3, labels))
  expect(collector.result()).toMatchObject({ kept: 3, labels: Int32Array.from(labels) })
})

test("hits among the first k", () => {
  const predictions = predictionsOf(scores, 3, labels)
  expect([1, 2, 3].map((k) => [...hitsAt(predictions, k)])).toEqual([
    [1, 0, 1, 0],
    [1, 1, 1, 1],
    [1, 1, 1, 1],
  ])
})

test("labels that are not classes are refused", () => {
  for (const label of [-1, 3, 0.5])
    expect(() => predictionsOf(scores, 3, [0, 1, label, 2])).toThrow("labels are below 3")
})
