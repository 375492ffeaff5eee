/** Pillow's resize as its definition reads, one value at a time: what the fast one must equal. */
import { type Image8, image8 } from "../src/core/image/pixels.ts"
import type { Interpolation, Size } from "../src/core/image/resize.ts"

export function pillowResize(image: Image8, to: Size, interpolation: Interpolation): Image8 {
  const narrowed = resample(image.data, { ...image, rows: image.height, step: 3 }, to.width, interpolation)
  const columnsFirst = transpose(narrowed, to.width, image.height)
  const shape = { width: image.height, rows: to.width, step: 3 }
  return image8(
    to.width,
    to.height,
    transpose(resample(columnsFirst, shape, to.height, interpolation), to.height, to.width),
  )
}

/** Each row of `rows` becomes `length` pixels. */
function resample(
  data: ArrayLike<number>,
  { width, rows, step }: { width: number; rows: number; step: number },
  length: number,
  interpolation: Interpolation,
): Uint8Array {
  const out = new Uint8Array(length * rows * step)
  for (let o = 0; o < length; o++) {
    const { first, weights } = weightsOf(o, width, length, interpolation)
    for (let y = 0; y < rows; y++) {
      for (let c = 0; c < step; c++) {
        const sum = weights.reduce((total, w, k) => total + w * data[(y * width + first + k) * step + c]!, 2 ** 21)
        out[(y * length + o) * step + c] = Math.min(Math.max(Math.floor(sum / 2 ** 22), 0), 255)
      }
    }
  }
  return out
}

function weightsOf(o: number, from: number, to: number, interpolation: Interpolation) {
  const scale = from / to
  const widening = Math.max(scale, 1)
  const support = (interpolation === "bilinear" ? 1 : 2) * widening
  const center = (o + 0.5) * scale
  const first = Math.max(Math.trunc(center - support + 0.5), 0)
  const end = Math.min(Math.trunc(center + support + 0.5), from)
  const distances = Array.from({ length: end - first }, (_, k) => (first + k - center + 0.5) * (1 / widening))
  const raw = distances.map((x) => (interpolation === "bilinear" ? Math.max(1 - Math.abs(x), 0) : keys(Math.abs(x))))
  const sum = raw.reduce((total, weight) => total + weight, 0)
  const weights = raw.map((weight) => {
    const fixed = (weight / sum) * 2 ** 22
    return Math.trunc(fixed < 0 ? fixed - 0.5 : fixed + 0.5)
  })
  return { first, weights }
}

/** Keys' cubic with a = -0.5. */
function keys(x: number): number {
  const a = -0.5
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0
}

/** [rows, columns, 3] -> [columns, rows, 3]. */
function transpose(data: Uint8Array, columns: number, rows: number): Uint8Array {
  const out = new Uint8Array(data.length)
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      out.set(data.subarray((y * columns + x) * 3, (y * columns + x) * 3 + 3), (x * rows + y) * 3)
    }
  }
  return out
}
