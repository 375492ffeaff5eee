import { expect, test } from "vitest"
import { image8 } from "./pixels.ts"
import { type Preprocessing, preprocess } from "./preprocess.ts"

const image = image8(2, 2, Uint8Array.of(0, 51, 255, 1, 52, 254, 2, 53, 253, 3, 54, 252))
const unit: Preprocessing = { size: 2, interpolation: "bilinear", mean: [0, 0, 0], std: [1, 1, 1] }

test("channels first, value / 255 in float32", () => {
  const expected = [0, 1, 2, 3, 51, 52, 53, 54, 255, 254, 253, 252].map((value) => Math.fround(value / 255))
  expect([...preprocess(image, unit)]).toEqual(expected)
})

test("mean and std are float32, and every step rounds", () => {
  const [mean, std] = [0.48145466, 0.26862954]
  const values = preprocess(image, { ...unit, mean: [mean, 0, 0], std: [std, 1, 1] })
  const shifted = Math.fround(Math.fround(3 / 255) - Math.fround(mean))
  expect(values[3]).toBe(Math.fround(shifted / Math.fround(std)))
})

test("writes into a row of a batch", () => {
  const batch = new Float32Array(24)
  preprocess(image, unit, batch.subarray(12))
  expect([...batch.subarray(0, 12)]).toEqual(Array(12).fill(0))
  expect(batch.subarray(12)).toEqual(preprocess(image, unit))
})
