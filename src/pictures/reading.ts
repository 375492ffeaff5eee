/** How a command reads pictures: what a user chooses, and what is written down beside results. */
import type { EncodeFilesOptions } from "./encode-files.ts"

export const orientations = ["ignore", "apply"] as const

export interface PictureReading {
  /** Whether a picture is turned as its camera noted. Training ignores that, and so do the published figures. */
  readonly orientation: (typeof orientations)[number]
  /** Every pixel is decoded. */
  readonly decode: "exact"
}

export const readingDefaults = { orientation: "ignore", decode: "exact" } as const satisfies PictureReading

/** The same as the decoder takes it. */
export function decodeOptions({ orientation }: PictureReading, maxPixels?: number): EncodeFilesOptions["decode"] {
  return { exif: orientation, ...(maxPixels !== undefined && { maxPixels }) }
}
