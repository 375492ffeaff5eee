import { expect, test } from "vitest"
import { rankLabels } from "./rank-labels.ts"

const labels = ["a", "b", "c"]
/** Cosines of the picture [1, 0] with them are 0.6, 0.8 and 0. */
const vectors = Float32Array.of(0.6, 0.8, 0.8, 0.6, 0, 1)
const picture = Float32Array.of(1, 0)

test.each([
  [10, 10],
  // Where no file says it: published models ended there.
  [null, 100],
])("scores are a softmax of cosines times the model's factor (%d)", (logitScale, factor) => {
  const [found] = rankLabels(picture, { labels, vectors, embedDim: 2, logitScale })
  const powers = [0.8, 0.6, 0].map((cosine) => Math.exp(factor * cosine))
  const sum = powers.reduce((a, b) => a + b)
  expect(found!.map(({ label }) => label)).toEqual(["b", "a", "c"])
  // float32: cosines of 1e-7, which the factor multiplies.
  for (const [i, { score }] of found!.entries()) expect(score).toBeCloseTo(powers[i]! / sum, 4)
})
