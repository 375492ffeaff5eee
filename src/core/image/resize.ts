/**
 * Pillow's resize, bit for bit (Pillow `Resample.c`): a horizontal pass, then a vertical one, both in integers with
 * weights of 22 fractional bits and an 8-bit image between them. The filter widens when an image shrinks, so there is
 * no aliasing. Only the pixels that the caller keeps are computed.
 */
import { assert } from "../errors.ts"
import { type Kernels, type TapTable, withKernels } from "../kernels/kernels.ts"
import { assertInside, type Box, centerBox, type Image8, image8 } from "./pixels.ts"

export type Interpolation = "bilinear" | "bicubic"

export interface Size {
  readonly width: number
  readonly height: number
}

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
  return resizeWindow(image, fullBox(image), to, fullBox(to), interpolation)
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

/** The middle of `resizeShortestSide(image, size)`, without computing what the crop throws away. */
export function resizeAndCenterCrop(image: Image8, size: number, interpolation: Interpolation): Image8 {
  const to = shortestSide(image, size)
  return resizeWindow(image, fullBox(image), to, centerBox(to.width, to.height, size), interpolation)
}

/**
 * The part `window` of the image that `source`, a part of `image`, becomes when it is resized to `to`. No pixel outside
 * `source` has influence, as in torchvision's `resized_crop`.
 */
export function resizeWindow(image: Image8, source: Box, to: Size, window: Box, interpolation: Interpolation): Image8 {
  return withKernels((kernels) => {
    const pixels = resizeInKernels(kernels, image, source, to, window, interpolation)
    return image8(window.width, window.height, kernels.uint8(pixels, window.width * window.height * 3).slice())
  })
}

/** `resizeWindow` in the kernels' memory: the address of the pixels. */
export function resizeInKernels(
  kernels: Kernels,
  image: Image8,
  source: Box,
  to: Size,
  window: Box,
  interpolation: Interpolation,
): number {
  assertInside(source, image.width, image.height)
  assertInside(window, to.width, to.height)
  const columns = taps(source.width, to.width, window.left, window.width, interpolation)
  const rows = taps(source.height, to.height, window.top, window.height, interpolation)
  const first = rows.start[0]!
  const last = rows.end
  rows.start.forEach((start, o) => {
    rows.start[o] = start - first
  })
  const stripe = { left: source.left, top: source.top + first, width: source.width, height: last - first }
  const narrowed = resizeColumns(kernels, image, stripe, columns)
  const rowBytes = window.width * 3
  const pixels = kernels.reserve(rowBytes * window.height)
  const stride = narrowStride(window.width)
  kernels.run.resizeRows(narrowed, stride, rowBytes, window.height, pixels, ...putTaps(kernels, rows))
  return pixels
}

/** Rows go into the kernels' memory in blocks of about this many bytes, however large the picture is. */
const BLOCK_BYTES = 2 ** 22

/** The horizontal pass over the rows of `stripe`: the address of the result, with room for one more row after it. */
function resizeColumns(kernels: Kernels, image: Image8, stripe: Box, columns: Taps): number {
  const stride = image.width * 3
  const blockRows = Math.min(Math.max(Math.floor(BLOCK_BYTES / stride), 1), stripe.height)
  const block = kernels.reserve(blockRows * stride)
  const table = putTaps(kernels, columns)
  const outStride = narrowStride(columns.length)
  const out = kernels.reserve(outStride * (stripe.height + 1))
  for (let y = 0; y < stripe.height; y += blockRows) {
    const rows = Math.min(blockRows, stripe.height - y)
    const from = (stripe.top + y) * stride
    kernels.uint8(block, rows * stride).set(image.data.subarray(from, from + rows * stride))
    const target = out + y * outStride
    kernels.run.resizeColumns(block + stripe.left * 3, stride, rows, columns.length, target, outStride, ...table)
  }
  return out
}

/** Bytes from a row between the passes to the next: one more than the pixels take, rounded up to whole vectors. */
function narrowStride(width: number): number {
  return Math.ceil((width * 3 + 1) / 16) * 16
}

/** Which inputs make each output, and with which weights: `2 * pairs[o]` of them from `start[o]` on. */
interface Taps {
  readonly length: number
  readonly start: Int32Array
  /** One past the last input that has a weight. */
  readonly end: number
  readonly pairs: Int32Array
  /** For two inputs the high and then the low parts of their weights, as the kernels take them. */
  readonly weights: Int16Array
  /** Shorts from the weights of an output to those of the next. */
  readonly stride: number
}

function taps(from: number, to: number, first: number, length: number, interpolation: Interpolation): Taps {
  const filter = filters[interpolation]
  const scale = from / to
  const widening = Math.max(scale, 1)
  const support = filter.support * widening
  const stride = (Math.ceil(support) + 1) * 4
  const start = new Int32Array(length)
  const pairs = new Int32Array(length)
  const weights = new Int16Array(length * stride)
  const raw = new Float64Array(Math.ceil(support) * 2 + 1)
  let end = 0
  for (let o = 0; o < length; o++) {
    const center = (first + o + 0.5) * scale
    const begin = Math.max(Math.trunc(center - support + 0.5), 0)
    end = Math.min(Math.trunc(center + support + 0.5), from)
    const count = end - begin
    let sum = 0
    for (let k = 0; k < count; k++) {
      raw[k] = filter.weight((begin + k - center + 0.5) * (1 / widening))
      sum += raw[k]!
    }
    for (let k = 0; k < count; k++)
      putWeight(weights, o * stride, k, roundHalfAway((raw[k]! / sum) * 2 ** fractionBits))
    start[o] = begin
    pairs[o] = (count + 1) >> 1
  }
  return { length, start, end, pairs, weights, stride }
}

const fractionBits = 22
/** The low part of a weight lies in -2^13..2^13 - 1, so both parts are shorts. */
const splitBits = 14

function putWeight(weights: Int16Array, offset: number, k: number, weight: number): void {
  const high = (weight + (1 << (splitBits - 1))) >> splitBits
  const at = offset + (k >> 1) * 4 + (k & 1)
  weights[at] = high
  weights[at + 2] = weight - (high << splitBits)
}

function roundHalfAway(x: number): number {
  return Math.trunc(x < 0 ? x - 0.5 : x + 0.5)
}

function putTaps(kernels: Kernels, { start, pairs, weights, stride }: Taps): TapTable {
  return [kernels.put(start), kernels.put(pairs), kernels.put(weights), stride * weights.BYTES_PER_ELEMENT]
}

/** The box of a whole picture, which must have pixels. */
export function fullBox(size: Size): Box {
  assert(size.width > 0 && size.height > 0, `a size of ${size.width} x ${size.height} pixels`)
  return { left: 0, top: 0, width: size.width, height: size.height }
}
