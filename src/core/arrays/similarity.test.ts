import { expect, test } from "vitest"
import { cosines, l2Normalize, softmax } from "./similarity.ts"

test("rows get unit length, a row of zeros stays", () => {
  expect([...l2Normalize(Float32Array.of(3, 4, 0, 0), 2)]).toEqual([Math.fround(0.6), Math.fround(0.8), 0, 0])
})

test("cosines are images by texts", () => {
  const images = Float32Array.of(1, 0, 0.6, 0.8)
  const texts = Float32Array.of(1, 0, 0, 1, -1, 0)
  expect([...cosines(images, texts, 2)]).toEqual([1, 0, -1, 0.6, 0.8, -0.6].map(Math.fround))
})

test("softmax over the labels of each image, also at a scale that overflows exp", () => {
  const probabilities = softmax(Float32Array.of(0.3, 0.2, 1, -1), 2, 100)
  expect(probabilities[0]).toBeCloseTo(1 / (1 + Math.exp(-10)), 6)
  expect(probabilities[0]! + probabilities[1]!).toBeCloseTo(1, 6)
  expect([...softmax(Float32Array.of(1, -1), 2, 1e6)]).toEqual([1, 0])
})
