import { expect, test } from "vitest"
import { Random } from "../../core/arrays/random.ts"
import { type Image8, image8 } from "../../core/image/pixels.ts"
import { normalize } from "../../core/image/preprocess.ts"
import { applyAugmentation, augmentedPixels } from "./apply.ts"
import { opNames, type StoredOp } from "./augmentation.ts"
import { datacompdrAugmentation as config } from "./config.ts"
import { drawAugmentation } from "./draw.ts"

// test/golden/augment.json compares with the reference. These tests hold for any picture.
const random = new Random(8)
const image = noise(40, 30)
const whole = [0, 0, 30, 40] as const
const apply = (name: string, magnitude: number, picture = image) =>
  applyAugmentation(picture, [[0, 0, picture.height, picture.width], [op(name, magnitude)]], 24, "bicubic")
const plain = applyAugmentation(image, [whole, null], 24, "bicubic")

function op(name: string, magnitude: number): StoredOp {
  return [(opNames as readonly string[]).indexOf(name), magnitude]
}

test("an operation of no strength changes nothing", () => {
  for (const name of opNames.slice(0, 10)) expect(apply(name, 0).data, name).toEqual(plain.data)
  expect(apply("Posterize", 8).data).toEqual(plain.data)
  expect(apply("Solarize", 256).data).toEqual(plain.data)
  expect(apply("Rotate", 360).data).toEqual(plain.data)
})

test("pixels move by whole pixels, and black comes in", () => {
  const moved = apply("TranslateX", 5.9)
  const up = apply("TranslateY", -3)
  for (let y = 0; y < 24; y++) {
    for (let x = 0; x < 24; x++) {
      expect(pixel(moved, x, y)).toEqual(x < 5 ? [0, 0, 0] : pixel(plain, x - 5, y))
      expect(pixel(up, x, y)).toEqual(y >= 21 ? [0, 0, 0] : pixel(plain, x, y + 3))
    }
  }
  expect(apply("TranslateX", 1e12).data.every((value) => value === 0)).toBe(true)
})

test("rotation by right angles moves pixels exactly", () => {
  const [quarter, half] = [apply("Rotate", 90), apply("Rotate", -180)]
  for (let y = 0; y < 24; y++) {
    for (let x = 0; x < 24; x++) {
      expect(pixel(quarter, x, y)).toEqual(pixel(plain, 23 - y, x))
      expect(pixel(half, x, y)).toEqual(pixel(plain, 23 - x, 23 - y))
    }
  }
})

test("tables: inverted, fewer bits, stretched", () => {
  expect([...apply("Solarize", 0).data]).toEqual([...plain.data].map((value) => 255 - value))
  expect([...apply("Posterize", 3).data]).toEqual([...plain.data].map((value) => value & 0xe0))
  expect(apply("Posterize", 0).data.every((value) => value === 0)).toBe(true)
  expect([...apply("Brightness", -1).data].every((value) => value === 0)).toBe(true)
  const flat = image8(8, 8, new Uint8Array(192).fill(77))
  for (const name of ["AutoContrast", "Equalize", "Contrast", "Color", "Sharpness"])
    expect(apply(name, 0.9, flat).data.every((value) => value === 77)).toBe(true)
})

test("both ways to the floats give the same, for all operations", () => {
  const p = { size: 24, interpolation: "bilinear", ...config.normalize } as const
  for (let i = 0; i < 300; i++) {
    const view = drawAugmentation({ ...config, randAugment: { ...config.randAugment!, numOps: 3 } }, image, random)
    const expected = normalize(applyAugmentation(image, view, 24, "bilinear"), p)
    expect(augmentedPixels(image, view, p)).toEqual(expected)
  }
})

test("pictures of any size: the input is not touched, and a crop from elsewhere is refused", () => {
  for (const [width, height] of [
    [1, 1],
    [2, 3],
    [700, 1],
  ] as const) {
    const picture = noise(width, height)
    const before = picture.data.slice()
    for (const name of opNames) expect(apply(name, 0.7, picture).data.length).toBe(24 * 24 * 3)
    expect(picture.data).toEqual(before)
  }
  expect(() => applyAugmentation(image, [[0, 0, 31, 40], null], 24, "bicubic", "a.jpg")).toThrow(
    "a.jpg: the stored crop [0,0,31,40]",
  )
})

function pixel({ data, width }: Image8, x: number, y: number): number[] {
  return [...data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)]
}

function noise(width: number, height: number): Image8 {
  return image8(
    width,
    height,
    Uint8Array.from({ length: width * height * 3 }, () => random.int(256)),
  )
}
