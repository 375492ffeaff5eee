/** Pictures as bytes: what a decoder gives and a resize takes. */
import { assert } from "../errors.ts"

/** Rows from the top, pixels from the left, red green blue per pixel: `data` has width * height * 3 bytes. */
export interface Image8 {
  readonly width: number
  readonly height: number
  readonly channels: 3
  readonly data: Uint8Array | Uint8ClampedArray
}

/** A rectangle of whole pixels inside an image. */
export interface Box {
  readonly left: number
  readonly top: number
  readonly width: number
  readonly height: number
}

/** Wraps `data` (width * height * 3 bytes); nothing is copied. */
export function image8(width: number, height: number, data: Uint8Array | Uint8ClampedArray): Image8 {
  assert(data.length === width * height * 3, `${width} x ${height} RGB pixels in ${data.length} bytes`)
  return { width, height, channels: 3, data }
}

/** The middle `size` x `size` pixels; an odd remainder is halved to the even neighbour, as torchvision does. */
export function centerBox(width: number, height: number, size: number): Box {
  const box = { left: halfToEven((width - size) / 2), top: halfToEven((height - size) / 2), width: size, height: size }
  assertInside(box, width, height)
  return box
}

export function assertInside(box: Box, width: number, height: number): void {
  const inside = box.left >= 0 && box.top >= 0 && box.left + box.width <= width && box.top + box.height <= height
  assert(
    inside && box.width > 0 && box.height > 0,
    `box ${JSON.stringify(box)} is not inside ${width} x ${height} pixels`,
  )
}

/** The nearest whole number; 21.5 is 22 and 42.5 is 42. */
export function halfToEven(x: number): number {
  const rounded = Math.round(x)
  return rounded - x === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded
}

/** What a canvas gives: red green blue alpha per pixel. */
export interface Rgba {
  readonly width: number
  readonly height: number
  readonly data: Uint8Array | Uint8ClampedArray
}

/** The colours as they are, not blended with any ground: Pillow's `convert("RGB")`. */
export function withoutAlpha({ width, height, data }: Rgba): Image8 {
  const pixels = width * height
  assert(data.length === 4 * pixels, `${width} x ${height} RGBA pixels in ${data.length} bytes`)
  const rgb = new Uint8Array(3 * pixels)
  for (let pixel = 0; pixel < pixels; pixel++) {
    rgb[3 * pixel] = data[4 * pixel]!
    rgb[3 * pixel + 1] = data[4 * pixel + 1]!
    rgb[3 * pixel + 2] = data[4 * pixel + 2]!
  }
  return image8(width, height, rgb)
}
