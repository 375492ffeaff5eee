import { expect, test } from "vitest"
import { image8 } from "../core/pixels.ts"
import { normalize } from "../core/preprocess.ts"
import { Random } from "../core/random.ts"
import { sampleWindow, writeView } from "./view.ts"

const random = new Random(1)
const image = image8(
  9,
  9,
  Uint8Array.from({ length: 9 * 9 * 3 }, () => random.int(256)),
)
const settings = { size: 9, interpolation: "bilinear", mean: [0.5, 0.4, 0.3], std: [0.2, 0.3, 0.4] } as const

test("the whole picture at its own size is its normalised pixels", () => {
  const out = new Float32Array(9 * 9 * 3)
  writeView(image, { left: 0, top: 0, side: 9 }, settings, out)
  normalize(image, settings).forEach((value, i) => {
    expect(out[i]).toBeCloseTo(value, 5)
  })
})

test("a window at whole pixels is a crop, between them the mean of neighbours", () => {
  const p = { size: 4, interpolation: "bilinear", mean: [0, 0, 0], std: [1, 1, 1] } as const
  const pixel = (x: number, y: number, channel: number) => image.data[(y * 9 + x) * 3 + channel]! / 255
  const out = new Float32Array(4 * 4 * 3)
  writeView(image, { left: 2, top: 3, side: 4 }, p, out)
  expect(out[2 * 16 + 1 * 4 + 3]).toBeCloseTo(pixel(5, 4, 2), 6)
  writeView(image, { left: 2.5, top: 3, side: 4 }, p, out)
  expect(out[2 * 16 + 1 * 4 + 3]).toBeCloseTo((pixel(5, 4, 2) + pixel(6, 4, 2)) / 2, 6)
})

test("windows lie in the picture and show 0.8 to 1 of its area", () => {
  for (let i = 0; i < 1000; i++) {
    const { left, top, side } = sampleWindow(72, random)
    expect(Math.min(left, top)).toBeGreaterThanOrEqual(0)
    expect(Math.max(left, top) + side).toBeLessThanOrEqual(72 + 1e-9)
    expect((side / 72) ** 2).toBeGreaterThan(0.7999)
  }
})
