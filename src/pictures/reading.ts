/** How a command reads pictures: what a user chooses, and what is written down beside results. */
import type { PixelOptions } from "./prepare-pixels.ts"

export const orientations = ["ignore", "apply"] as const
export const decodings = ["exact", "fast"] as const

export interface PictureReading {
  /** Whether a picture is turned as its camera noted. Training ignores that, and so do the published figures. */
  readonly orientation: (typeof orientations)[number]
  /** "fast": the decoder makes large JPEG files smaller itself, which changes vectors a little (`fastDeviation`). */
  readonly decode: (typeof decodings)[number]
}

/**
 * How far "fast" takes vectors away, for people. Measured with `bench/pipeline.js --scaled` on 200 photographs of ImageNet, of which
 * 195 and 188 were changed, by two models of 40 and 48 pixels that were trained for nine minutes; the labels were 30 words that these know.
 */
export const fastDeviation =
  "measured with two small trained models, cosines to exact vectors are 0.9999 in the median and 0.998 at worst, and 1 picture in 50 gets another best label of 30"

export const readingDefaults = { orientation: "ignore", decode: "exact" } as const satisfies PictureReading

/** The same as the decoder takes it. */
export function pixelOptions({ orientation, decode }: PictureReading, maxPixels: number): PixelOptions {
  return { exif: orientation, scaled: decode === "fast", maxPixels }
}
