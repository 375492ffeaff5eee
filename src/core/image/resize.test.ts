import { expect, test } from "vitest"
import { pillowResize } from "../../../test/pillow-resize.ts"
import { Random } from "../arrays/random.ts"
import { type Box, centerBox, type Image8, image8 } from "./pixels.ts"
import {
  type Interpolation,
  resize,
  resizeAndCenterCrop,
  resizeShortestSide,
  resizeWindow,
  shortestSide,
} from "./resize.ts"

const interpolations: Interpolation[] = ["bilinear", "bicubic"]
const random = new Random(2)

test.each(interpolations)("%s: a constant picture stays constant, at any size", (interpolation) => {
  for (const [width, height] of [
    [1, 1],
    [3, 40],
    [200, 7],
  ] as const) {
    const { data } = resize(filled(17, 11, [0, 128, 255]), { width, height }, interpolation)
    expect(data.every((value, i) => value === [0, 128, 255][i % 3])).toBe(true)
  }
})

test.each(interpolations)("%s: the same size changes nothing, and the input is not touched", (interpolation) => {
  const image = noise(23, 9)
  const before = image.data.slice()
  expect(resize(image, image, interpolation).data).toEqual(before)
  resize(image, { width: 5, height: 31 }, interpolation)
  expect(image.data).toEqual(before)
})

test.each(interpolations)("%s: computing a window is the same as cropping afterwards", (interpolation) => {
  for (let i = 0; i < 60; i++) {
    const image = noise(1 + random.int(60), 1 + random.int(60))
    const to = { width: 1 + random.int(80), height: 1 + random.int(80) }
    const source = part(image)
    const window = part(to)
    const expected = crop(resize(crop(image, source), to, interpolation), window)
    expect(resizeWindow(image, source, to, window, interpolation).data).toEqual(expected.data)
    const size = 1 + random.int(40)
    const resized = resizeShortestSide(image, size, interpolation)
    const center = crop(resized, centerBox(resized.width, resized.height, size))
    expect(resizeAndCenterCrop(image, size, interpolation).data).toEqual(center.data)
  }
})

test.each(interpolations)("%s: equal to the plain definition, at thousands of sizes", (interpolation) => {
  for (let i = 0; i < 2000; i++) {
    const image = [noise, extremes][i % 2]!(1 + random.int(i % 10 === 0 ? 300 : 40), 1 + random.int(40))
    const to = { width: 1 + random.int(50), height: 1 + random.int(i % 10 === 1 ? 200 : 50) }
    const found = Buffer.from(resize(image, to, interpolation).data)
    const expected = Buffer.from(pillowResize(image, to, interpolation).data)
    expect(Buffer.compare(found, expected), `${image.width} x ${image.height} -> ${to.width} x ${to.height}`).toBe(0)
  }
})

test("pictures of many blocks of memory are resized as small ones are", () => {
  const image = noise(3001, 1700)
  const to = { width: 31, height: 17 }
  expect(resize(image, to, "bicubic").data).toEqual(pillowResize(image, to, "bicubic").data)
})

test("sizes and offsets are torchvision's: rounded down, and half to even", () => {
  expect(shortestSide({ width: 37, height: 61 }, 256)).toEqual({ width: 256, height: 422 })
  expect(shortestSide({ width: 300, height: 200 }, 224)).toEqual({ width: 336, height: 224 })
  expect(shortestSide({ width: 640, height: 427 }, 256)).toEqual({ width: 383, height: 256 })
  expect([85, 87, 86, 0].map((rest) => centerBox(10 + rest, 10, 10).left)).toEqual([42, 44, 43, 0])
})

test("any view of bytes is read: clamped, a Buffer, a part of a larger buffer", () => {
  const image = noise(20, 20)
  const views = [
    new Uint8ClampedArray(image.data),
    Buffer.from(image.data),
    Uint8Array.of(1, 2, 3, ...image.data, 9).subarray(3, -1),
  ]
  const expected = resize(image, { width: 7, height: 9 }, "bicubic").data
  for (const view of views) {
    expect(resize(image8(20, 20, view), { width: 7, height: 9 }, "bicubic").data).toEqual(expected)
  }
})

test("a very long strip costs no more than its crop", () => {
  expect(resizeAndCenterCrop(noise(20_000, 1), 256, "bicubic")).toMatchObject({ width: 256, height: 256 })
})

test("boxes outside the picture and wrong amounts of bytes are refused", () => {
  const [outside, inside] = [
    { left: 2, top: 0, width: 3, height: 1 },
    { left: 0, top: 0, width: 4, height: 4 },
  ]
  const window = (source: Box, box: Box) => resizeWindow(noise(4, 4), source, inside, box, "bilinear")
  expect(() => window(outside, inside)).toThrow("not inside 4 x 4 pixels")
  expect(() => window(inside, outside)).toThrow("not inside 4 x 4 pixels")
  expect(() => centerBox(4, 4, 5)).toThrow("not inside")
  expect(() => resize(noise(4, 4), { width: 0, height: 4 }, "bilinear")).toThrow("0 x 4")
  expect(() => image8(2, 2, new Uint8Array(11))).toThrow("2 x 2 RGB pixels in 11 bytes")
})

/** The plain definition. */
function crop({ width, data }: Image8, box: Box): Image8 {
  const rows = Array.from({ length: box.height }, (_, y) => ((box.top + y) * width + box.left) * 3)
  const pixels = rows.flatMap((start) => [...data.subarray(start, start + box.width * 3)])
  return image8(box.width, box.height, Uint8Array.from(pixels))
}

function noise(width: number, height: number): Image8 {
  return image8(
    width,
    height,
    Uint8Array.from({ length: width * height * 3 }, () => random.int(256)),
  )
}

/** Black and white at random: sums leave 0..255 on both sides. */
function extremes(width: number, height: number): Image8 {
  return image8(
    width,
    height,
    Uint8Array.from({ length: width * height * 3 }, () => 255 * random.int(2)),
  )
}

function filled(width: number, height: number, pixel: number[]): Image8 {
  return image8(
    width,
    height,
    Uint8Array.from({ length: width * height * 3 }, (_, i) => pixel[i % 3]!),
  )
}

function part({ width, height }: { width: number; height: number }) {
  const [left, top] = [random.int(width), random.int(height)]
  return { left, top, width: 1 + random.int(width - left), height: 1 + random.int(height - top) }
}
