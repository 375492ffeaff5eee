/** How a command reads pictures: what a user chooses, and what is written down beside results. */
import type { PixelOptions } from "./prepare-pixels.ts"

export const orientations = ["ignore", "apply"] as const
export const decodings = ["exact", "fast"] as const

export interface PictureReading {
  /** Whether a picture is turned as its camera noted. Training ignores that, and so do the published figures. */
  readonly orientation: (typeof orientations)[number]
  /** "fast": the decoder makes large JPEG files smaller itself, which changes vectors a little. */
  readonly decode: (typeof decodings)[number]
}

export const readingDefaults = { orientation: "ignore", decode: "exact" } as const satisfies PictureReading

/** The same as the decoder takes it. */
export function pixelOptions({ orientation, decode }: PictureReading, maxPixels: number): PixelOptions {
  return { exif: orientation, scaled: decode === "fast", maxPixels }
}
