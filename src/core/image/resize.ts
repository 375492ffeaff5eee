/**
 * Pillow's resize, bit for bit (Pillow `Resample.c`): a horizontal pass, then a vertical one, both in integers with
 * weights of 22 fractional bits and an 8-bit image between them. The filter widens when an image shrinks, so there is
 * no aliasing. Only the pixels that the caller keeps are computed, and only those that they are made of are read.
 */
import { assert } from "../errors.ts"
import { type Kernels, type TapTable, withKernels } from "../kernels/kernels.ts"
import { assertInside, type Box, centerBox, type Image8, image8 } from "./pixels.ts"
import { type Interpolation, shifted, type Taps, tapsOf } from "./taps.ts"

export type { Interpolation } from "./taps.ts"

export interface Size {
  readonly width: number
  readonly height: number
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
  const columns = tapsOf(source.width, to.width, window.left, window.width, interpolation)
  const rows = tapsOf(source.height, to.height, window.top, window.height, interpolation)
  const [left, top] = [columns.starts[0]!, rows.starts[0]!]
  const needed = {
    ...{ left: source.left + left, top: source.top + top },
    ...{ width: columns.end - left, height: rows.end - top },
  }
  const narrowed = resizeColumns(kernels, image, needed, shifted(columns, left))
  const rowBytes = window.width * 3
  const pixels = kernels.reserve(rowBytes * window.height)
  const stride = narrowStride(window.width)
  const table = putTaps(kernels, shifted(rows, top))
  kernels.run.resizeRows(narrowed, stride, rowBytes, window.height, pixels, ...table)
  return pixels
}

/** Rows go into the kernels' memory in blocks of about this many bytes, however large the picture is. */
const BLOCK_BYTES = 2 ** 22

/** The horizontal pass over the pixels of `needed`: the address of the result, with room for one more row after it. */
function resizeColumns(kernels: Kernels, image: Image8, needed: Box, columns: Taps): number {
  const stride = needed.width * 3
  const blockRows = Math.min(Math.max(Math.floor(BLOCK_BYTES / stride), 1), needed.height)
  const block = kernels.reserve(blockRows * stride)
  const table = putTaps(kernels, columns)
  const length = columns.starts.length
  const outStride = narrowStride(length)
  const out = kernels.reserve(outStride * (needed.height + 1))
  for (let y = 0; y < needed.height; y += blockRows) {
    const rows = Math.min(blockRows, needed.height - y)
    copyPixels(image, { ...needed, top: needed.top + y, height: rows }, kernels.uint8(block, rows * stride))
    kernels.run.resizeColumns(block, stride, rows, length, out + y * outStride, outStride, ...table)
  }
  return out
}

function copyPixels(image: Image8, box: Box, to: Uint8Array): void {
  const [stride, length] = [image.width * 3, box.width * 3]
  const first = box.top * stride + box.left * 3
  if (stride === length) {
    to.set(image.data.subarray(first, first + to.length))
    return
  }
  for (let y = 0; y < box.height; y++) {
    const from = first + y * stride
    to.set(image.data.subarray(from, from + length), y * length)
  }
}

/** Bytes from a row between the passes to the next: one more than the pixels take, rounded up to whole vectors. */
function narrowStride(width: number): number {
  return Math.ceil((width * 3 + 1) / 16) * 16
}

/** The low part of a weight lies in -2^13..2^13 - 1, so both parts are shorts. */
const splitBits = 14

/** As the kernels take them: for two inputs the high and then the low parts of their weights. */
function putTaps(kernels: Kernels, { starts, counts, weights }: Taps): TapTable {
  const split = new Int16Array(weights.length * 2)
  for (let i = 0; i < weights.length; i++) {
    const weight = weights[i]!
    const high = (weight + (1 << (splitBits - 1))) >> splitBits
    const at = (i >> 1) * 4 + (i & 1)
    split[at] = high
    split[at + 2] = weight - (high << splitBits)
  }
  const pairs = counts.map((count) => (count + 1) >> 1)
  const stride = (split.length / starts.length) * split.BYTES_PER_ELEMENT
  return [kernels.put(starts), kernels.put(pairs), kernels.put(split), stride]
}

/** The box of a whole picture, which must have pixels. */
export function fullBox(size: Size): Box {
  assert(size.width > 0 && size.height > 0, `a size of ${size.width} x ${size.height} pixels`)
  return { left: 0, top: 0, width: size.width, height: size.height }
}
