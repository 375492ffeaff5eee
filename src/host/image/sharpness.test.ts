import sharp, { type Sharp } from "sharp"
import { expect, test } from "vitest"
import { Random } from "../../core/arrays/random.ts"
import { image8 } from "../../core/image/pixels.ts"
import { type Preprocessing, preprocess } from "../../core/image/preprocess.ts"
import { sharpness } from "./sharpness.ts"

const plain = (size: number): Preprocessing => ({ size, interpolation: "bilinear", mean: [0, 0, 0], std: [1, 1, 1] })
const clip = (size: number): Preprocessing => ({
  ...{ size, interpolation: "bicubic" },
  ...{ mean: [0.48145466, 0.4578275, 0.40821073], std: [0.26862954, 0.26130258, 0.27577711] },
})

/** The definition, in float64: a picture with a border of one reflected pixel, its Laplacian as a list, and the list's variance. */
function reference(rgb: Uint8Array, size: number): number {
  const at = (i: number) => (i < 0 ? 1 : i === size ? size - 2 : i)
  const gray = (x: number, y: number) => {
    const [r, g, b] = rgb.subarray(3 * (at(y) * size + at(x))) as unknown as [number, number, number]
    return 0.299 * r + 0.587 * g + 0.114 * b
  }
  const values: number[] = []
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++)
      values.push(gray(x - 1, y) + gray(x + 1, y) + gray(x, y - 1) + gray(x, y + 1) - 4 * gray(x, y))
  }
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length
}

test.each([2, 3, 7, 64, 256])("size %i: the definition in float64, whatever the normalisation", (size) => {
  const random = new Random(size)
  const rgb = Uint8Array.from({ length: 3 * size * size }, (_, i) => (i % 97) + random.int(120))
  const expected = reference(rgb, size)
  expect(expected).toBeGreaterThan(0)
  // Pixels are float32, of 24 bits; differences of neighbours lose some of them.
  for (const preprocessing of [plain(size), clip(size)]) {
    const found = sharpness(preprocess(image8(size, size, rgb), preprocessing), preprocessing)
    expect(Math.abs(found / expected - 1)).toBeLessThan(1e-5)
  }
})

test("known values: nothing in a plain picture, and one bright pixel", () => {
  expect(sharpness(new Float32Array(3 * 25).fill(0.3), plain(5))).toBeCloseTo(0, 9)
  const dot = new Float32Array(3 * 25)
  for (const channel of [0, 1, 2]) dot[25 * channel + 12] = 1
  // -4 in the middle and 1 at its four sides, of 25 values whose mean is 0.
  expect(sharpness(dot, plain(5))).toBeCloseTo((255 ** 2 * 20) / 25, 6)
})

test("a blurred copy is less sharp, and a smaller one of the same picture about as sharp", async () => {
  const random = new Random(1)
  const noise = Uint8Array.from({ length: 3 * 512 * 512 }, () => random.int(256))
  const scene = sharp(noise, { raw: { width: 512, height: 512, channels: 3 } }).blur(3)
  const whole = await scene.png().toBuffer()
  const of = async (picture: Sharp) => {
    const { data, info } = await picture.removeAlpha().raw().toBuffer({ resolveWithObject: true })
    return sharpness(preprocess(image8(info.width, info.height, data), clip(224)), clip(224))
  }
  const [original, blurred, small] = [
    await of(sharp(whole)),
    await of(sharp(whole).blur(4)),
    await of(sharp(whole).resize(400)),
  ]
  expect(blurred).toBeLessThan(original / 4)
  expect(small / original).toBeGreaterThan(0.7)
  expect(small / original).toBeLessThan(1.4)
})

test("pixels of another size are refused", () => {
  expect(() => sharpness(new Float32Array(12), plain(3))).toThrow("[3, 3, 3] pixels in 12 floats")
})
