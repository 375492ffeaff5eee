import { expect, test } from "vitest"
import {
  accuracyOf,
  confusionOf,
  meanPerClassRecall,
  rankOf,
  recallAt,
  retrievalRanks,
  topKAccuracy,
} from "./metrics.ts"

/** Best classes: 0, 2, 1, 1; second: 1, 1, 0, 2. */
const scores = Float32Array.of(0.9, 0.5, 0.1, 0.0, 0.2, 0.3, 0.4, 0.8, 0.1, -0.5, 0.7, 0.6)
const labels = [0, 1, 1, 2]

test("ranks count scores that are larger, or equal and earlier", () => {
  expect(rankOf([3, 1, 2], 1)).toBe(2)
  expect([0, 1, 2].map((target) => rankOf([5, 5, 5], target))).toEqual([0, 1, 2])
})

test("top-k accuracy", () => {
  expect([1, 2, 3].map((k) => topKAccuracy(scores, 3, labels, k))).toEqual([0.5, 1, 1])
})

test("confusion has true classes as rows", () => {
  expect(confusionOf(scores, 3, labels)).toEqual([
    [1, 0, 0],
    [0, 1, 1],
    [0, 1, 0],
  ])
})

test("accuracy and mean per class recall of unbalanced classes", () => {
  const confusion = [
    [8, 0, 0],
    [1, 1, 0],
    [0, 0, 0],
  ]
  expect(accuracyOf(confusion)).toBe(0.9)
  // (8/8 + 1/2) / 2: the class that does not occur does not count
  expect(meanPerClassRecall(confusion)).toBe(0.75)
})

test("recall in both directions, with several texts of one image and an image without text", () => {
  // Columns: two texts of image 0, one of image 1, none of image 2.
  const cosines = Float32Array.of(0.9, 0.1, 0.8, 0.2, 0.4, 0.7, 0.3, 0.3, 0.9)
  const ranks = retrievalRanks(cosines, [0, 0, 1])
  expect(ranks).toEqual({ textToImage: [0, 2, 2], imageToText: [0, 0, Number.POSITIVE_INFINITY] })
  expect(recallAt(ranks, 1)).toEqual({ textToImage: 1 / 3, imageToText: 2 / 3 })
  expect(recallAt(ranks, 3)).toEqual({ textToImage: 1, imageToText: 2 / 3 })
})
