/**
 * Pillow's resize, bit for bit (Pillow `Resample.c`): a horizontal pass, then a vertical one, both in integers with
 * weights of 22 fractional bits and an 8-bit image between them. The filter widens when an image shrinks, so there is
 * no aliasing. Only the pixels that the caller keeps are computed.
 */
import { assert } from "./errors.ts"
import { assertInside, type Box, centerBox, type Image8, image8 } from "./pixels.ts"

export type Interpolation = "bilinear" | "bicubic"

export interface Size {
  readonly width: number
  readonly height: number
}

const fractionBits = 22
const half = 1 << (fractionBits - 1)

interface Filter {
  /** The weight is 0 at this distance and beyond. */
  readonly support: number
  weight(distance: number): number
}

const filters: Record<Interpolation, Filter> = {
  bilinear: { support: 1, weight: (x) => Math.max(1 - Math.abs(x), 0) },
  bicubic: { support: 2, weight: (x) => keys(Math.abs(x)) },
}

/** Keys' cubic with a = -0.5. */
function keys(x: number): number {
  const a = -0.5
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0
}

export function resize(image: Image8, to: Size, interpolation: Interpolation): Image8 {
  return resizeWindow(image, whole(image), to, whole(to), interpolation)
}

/** Crops, then resizes: no pixel outside `box` has influence. Equal to torchvision's `resized_crop`. */
export function resizedCrop(image: Image8, box: Box, to: Size, interpolation: Interpolation): Image8 {
  return resizeWindow(image, box, to, whole(to), interpolation)
}

/** The shorter side becomes `size`, the longer one keeps the proportion, rounded down. */
export function shortestSide(image: Size, size: number): Size {
  const scaled = (long: number, short: number) => Math.trunc((size * long) / short)
  return image.width <= image.height
    ? { width: size, height: scaled(image.height, image.width) }
    : { width: scaled(image.width, image.height), height: size }
}

export function resizeShortestSide(image: Image8, size: number, interpolation: Interpolation): Image8 {
  return resize(image, shortestSide(image, size), interpolation)
}

/** `centerCrop(resizeShortestSide(image, size), size)`, without computing what the crop throws away. */
export function resizeAndCenterCrop(image: Image8, size: number, interpolation: Interpolation): Image8 {
  const to = shortestSide(image, size)
  return resizeWindow(image, whole(image), to, centerBox(to.width, to.height, size), interpolation)
}

/** The part `window` of the image that `source`, a part of `image`, becomes when it is resized to `to`. */
export function resizeWindow(image: Image8, source: Box, to: Size, window: Box, interpolation: Interpolation): Image8 {
  assertInside(source, image.width, image.height)
  assertInside(window, to.width, to.height)
  const columns = taps(source.width, to.width, window.left, window.width, interpolation)
  const rows = taps(source.height, to.height, window.top, window.height, interpolation)
  const first = rows.start[0]!
  const last = rows.start[window.height - 1]! + rows.count[window.height - 1]!
  const stripe = { left: source.left, top: source.top + first, width: source.width, height: last - first }
  return resizeRows(resizeColumns(image, stripe, columns), rows, first)
}

/** Which inputs make each output, and with which weights: `count[o]` of them from `start[o]` on. */
interface Taps {
  readonly length: number
  readonly start: Int32Array
  readonly count: Int32Array
  /** `stride` weights per output, of which `count[o]` are used. */
  readonly weights: Int32Array
  readonly stride: number
}

function taps(from: number, to: number, first: number, length: number, interpolation: Interpolation): Taps {
  const filter = filters[interpolation]
  const scale = from / to
  const widening = Math.max(scale, 1)
  const support = filter.support * widening
  const stride = Math.ceil(support) * 2 + 1
  const start = new Int32Array(length)
  const count = new Int32Array(length)
  const weights = new Int32Array(length * stride)
  for (let o = 0; o < length; o++) {
    const center = (first + o + 0.5) * scale
    start[o] = Math.max(Math.trunc(center - support + 0.5), 0)
    count[o] = Math.min(Math.trunc(center + support + 0.5), from) - start[o]!
    const raw = Float64Array.from({ length: count[o]! }, (_, k) =>
      filter.weight((start[o]! + k - center + 0.5) * (1 / widening)),
    )
    const sum = raw.reduce((total, weight) => total + weight, 0)
    raw.forEach((weight, k) => {
      weights[o * stride + k] = roundHalfAway((weight / sum) * (1 << fractionBits))
    })
  }
  return { length, start, count, weights, stride }
}

function roundHalfAway(x: number): number {
  return Math.trunc(x < 0 ? x - 0.5 : x + 0.5)
}

/** The horizontal pass over the rows of `stripe`. */
function resizeColumns(image: Image8, stripe: Box, columns: Taps): Image8 {
  const { start, length } = columns
  const pixels = plainBytes(image.data)
  const out = new Uint8ClampedArray(length * stripe.height * 3)
  for (let y = 0; y < stripe.height; y++) {
    const row = ((stripe.top + y) * image.width + stripe.left) * 3
    for (let o = 0; o < length; o++) {
      sumPixel(pixels, row + start[o]! * 3, 3, columns, o, out, (y * length + o) * 3)
    }
  }
  return image8(length, stripe.height, plainBytes(out))
}

/** The vertical pass; row 0 of `image` is row `first` of what the taps count from. */
function resizeRows(image: Image8, rows: Taps, first: number): Image8 {
  const { start, length } = rows
  const pixels = plainBytes(image.data)
  const rowBytes = image.width * 3
  const out = new Uint8ClampedArray(rowBytes * length)
  for (let o = 0; o < length; o++) {
    const row = (start[o]! - first) * rowBytes
    for (let x = 0; x < rowBytes; x += 3) sumPixel(pixels, row + x, rowBytes, rows, o, out, o * rowBytes + x)
  }
  return image8(image.width, length, plainBytes(out))
}

/**
 * Output `o` of the taps, for pixels that lie `step` bytes apart. Sums stay in int32 (weights sum to 2^22), and saying
 * so (`Math.imul`, `| 0`) halves the time.
 */
function sumPixel(
  pixels: Uint8Array,
  from: number,
  step: number,
  { weights, stride, count }: Taps,
  o: number,
  out: Uint8ClampedArray,
  to: number,
): void {
  let red = half
  let green = half
  let blue = half
  for (let k = o * stride, end = k + count[o]!; k < end; k++, from += step) {
    const weight = weights[k]!
    red = (red + Math.imul(pixels[from]!, weight)) | 0
    green = (green + Math.imul(pixels[from + 1]!, weight)) | 0
    blue = (blue + Math.imul(pixels[from + 2]!, weight)) | 0
  }
  out[to] = red >> fractionBits
  out[to + 1] = green >> fractionBits
  out[to + 2] = blue >> fractionBits
}

/** One class for the inner loop to see; clamped arrays and Node's Buffers beside it cost 30 % of its speed. */
function plainBytes(data: Image8["data"]): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.length)
}

function whole(size: Size): Box {
  assert(size.width > 0 && size.height > 0, `a size of ${size.width} x ${size.height} pixels`)
  return { left: 0, top: 0, width: size.width, height: size.height }
}
