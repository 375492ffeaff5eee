/** Random crops for training: a square window of a square picture, resampled to the model's input. */
import type { Image8 } from "../core/pixels.ts"
import type { Preprocessing } from "../core/preprocess.ts"
import type { Random } from "../core/random.ts"

/** Part of a square picture, in its pixels; whole numbers are pixel edges. */
export interface Window {
  readonly left: number
  readonly top: number
  readonly side: number
}

/** Share of the picture's area that a view shows, at least. There are no flips: they would make "left of" a lie. */
const MIN_AREA = 0.8

/** A window of 0.8 to 1 of the area of a picture with `side` pixels, anywhere in it. */
export function sampleWindow(side: number, random: Random): Window {
  const shown = side * Math.sqrt(random.uniform(MIN_AREA, 1))
  return { left: random.uniform(0, side - shown), top: random.uniform(0, side - shown), side: shown }
}

/**
 * Writes `window` of `image` to `out` as [3, size, size], normalised. Bilinear without a wider filter, which is right for
 * windows at most a little larger than `size`.
 */
export function writeView(image: Image8, window: Window, p: Preprocessing, out: Float32Array): void {
  const { data, width } = image
  const rows = tapsOf(window.top, window.side, p.size, image.height)
  const columns = tapsOf(window.left, window.side, p.size, width)
  const area = p.size * p.size
  for (let channel = 0; channel < 3; channel++) {
    const scale = 1 / (255 * p.std[channel]!)
    const shift = -p.mean[channel]! / p.std[channel]!
    for (let y = 0, o = channel * area; y < p.size; y++) {
      const upper = rows.first[y]! * width * 3 + channel
      const lower = rows.second[y]! * width * 3 + channel
      const down = rows.weight[y]!
      for (let x = 0; x < p.size; x++, o++) {
        const left = columns.first[x]! * 3
        const right = columns.second[x]! * 3
        const across = columns.weight[x]!
        const top = data[upper + left]! * (1 - across) + data[upper + right]! * across
        const bottom = data[lower + left]! * (1 - across) + data[lower + right]! * across
        out[o] = (top * (1 - down) + bottom * down) * scale + shift
      }
    }
  }
}

/** For each output the two inputs around it, and the weight of the second. */
interface Taps {
  readonly first: Int32Array
  readonly second: Int32Array
  readonly weight: Float64Array
}

function tapsOf(start: number, length: number, size: number, limit: number): Taps {
  const taps = { first: new Int32Array(size), second: new Int32Array(size), weight: new Float64Array(size) }
  for (let o = 0; o < size; o++) {
    const position = Math.min(Math.max(start + ((o + 0.5) * length) / size - 0.5, 0), limit - 1)
    taps.first[o] = Math.floor(position)
    taps.second[o] = Math.min(taps.first[o]! + 1, limit - 1)
    taps.weight[o] = position - taps.first[o]!
  }
  return taps
}
