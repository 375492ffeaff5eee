/** Which pixels make a pixel of a smaller or larger picture, and with which weights: Pillow's, to the last bit (Pillow `Resample.c`). */

export type Interpolation = "bilinear" | "bicubic"

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

/** For each output, `counts[o]` inputs from `starts[o]` on, and their weights from `weights[o * stride]` on. */
export interface Taps {
  readonly starts: Int32Array
  readonly counts: Int32Array
  /** In units of 2^-22. After those of an output come zeros: `stride` is even, and larger than any count. */
  readonly weights: Int32Array
  readonly stride: number
  /** One past the last input that has a weight. */
  readonly end: number
}

/** Bits of a weight after the point. */
const fractionBits = 22

/**
 * Outputs [first, first + length) where `from` pixels become `to`.
 *
 * @param extent how many pixels wide the picture is, where the last of them is cut by its edge
 */
export function tapsOf(
  from: number,
  to: number,
  first: number,
  length: number,
  interpolation: Interpolation,
  extent = from,
): Taps {
  const filter = filters[interpolation]
  const scale = extent / to
  const widening = Math.max(scale, 1)
  const support = filter.support * widening
  const stride = (Math.ceil(support) + 1) * 2
  const starts = new Int32Array(length)
  const counts = new Int32Array(length)
  const weights = new Int32Array(length * stride)
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
    for (let k = 0; k < count; k++) weights[o * stride + k] = roundHalfAway((raw[k]! / sum) * 2 ** fractionBits)
    starts[o] = begin
    counts[o] = count
  }
  return { starts, counts, weights, stride, end }
}

/** The same for inputs that begin `by` earlier. */
export function shifted({ starts, end, ...taps }: Taps, by: number): Taps {
  return { ...taps, starts: starts.map((start) => start - by), end: end - by }
}

function roundHalfAway(x: number): number {
  return Math.trunc(x < 0 ? x - 0.5 : x + 0.5)
}
