/** Pixels as numbers of a fixed palette: a cube of 6 x 7 x 6 colours, more green ones because eyes tell them apart best. */
import type { Image8 } from "../../../core/image/pixels.ts"

const levels = [6, 7, 6] as const

/** Red, green and blue of a colour of the palette, 0..1. */
export function paletteColour(index: number): [number, number, number] {
  const [, green, blue] = levels
  const places = [Math.floor(index / (green * blue)), Math.floor(index / blue) % green, index % blue]
  return places.map((place, c) => place / (levels[c]! - 1)) as [number, number, number]
}

/** One number for each pixel. What a pixel's colour is off by goes on to its neighbours (Floyd and Steinberg), so that means are right. */
export function toPalette({ width, height, data }: Image8): Uint8Array {
  const indices = new Uint8Array(width * height)
  // Errors of this row and the next one, with a pixel more on both sides.
  let [here, below] = [new Float32Array((width + 2) * 3), new Float32Array((width + 2) * 3)]
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let index = 0
      for (let c = 0; c < 3; c++) {
        const at = (x + 1) * 3 + c
        const wanted = data[(y * width + x) * 3 + c]! + here[at]!
        const most = levels[c]! - 1
        const place = Math.min(most, Math.max(0, Math.round((wanted * most) / 255)))
        const error = wanted - (place * 255) / most
        here[at + 3]! += (error * 7) / 16
        below[at - 3]! += (error * 3) / 16
        below[at]! += (error * 5) / 16
        below[at + 3]! += error / 16
        index = index * levels[c]! + place
      }
      indices[y * width + x] = index
    }
    ;[here, below] = [below, here.fill(0)]
  }
  return indices
}
