/**
 * What a picture's file says about it: when, where and with what it was taken, its caption, keywords and rating. From EXIF and IPTC
 * data by exifr, and from XMP (`metadata/xmp.ts`); where exifr does not know the container, it is given the block of EXIF data alone.
 * Nothing that is wrong with them fails: what cannot be read, or cannot be, is absent. Measured: 0.1 ms for a JPEG file of a camera.
 */
import { exifBlock, propertyOrientation, xmpPart } from "./metadata/blocks.ts"
import { type Taken, takenAt } from "./metadata/taken.ts"
import { captionFrom, keywordsFrom } from "./metadata/words.ts"
import { noXmp, type Xmp, xmpIn } from "./metadata/xmp.ts"

export type { Taken } from "./metadata/taken.ts"

export interface PictureMetadata {
  readonly taken: Taken | null
  /** Its maker and model, without repetition: "Apple iPhone 15", "NIKON D90". */
  readonly camera: string | null
  readonly lens: string | null
  /** Degrees of WGS84, north and east; both or neither. */
  readonly latitude: number | null
  readonly longitude: number | null
  readonly caption: string | null
  readonly keywords: readonly string[]
  /** Stars, 0 to 5; -1 is rejected. */
  readonly rating?: number
  /**
   * EXIF's number, 1 to 8, by which the picture that `decodeImage` gives under `exif: "ignore"` is to be turned. So it is 1 for TIFF and
   * HEIC, which are always turned, and for AVIF what its properties say.
   */
  readonly orientation: number
}

export const noMetadata: PictureMetadata = {
  ...{ taken: null, camera: null, lens: null, latitude: null, longitude: null },
  ...{ caption: null, keywords: [], orientation: 1 },
}

/** Only what is picked is read: previews and what makers note may be large. */
const wanted = {
  tiff: true,
  ifd0: { pick: ["Make", "Model", "ImageDescription", "Orientation", "ModifyDate", "Rating", "XPKeywords"] },
  exif: {
    pick: ["DateTimeOriginal", "CreateDate", "OffsetTimeOriginal", "OffsetTimeDigitized", "OffsetTime", "LensModel"],
  },
  gps: { pick: ["GPSLatitude", "GPSLatitudeRef", "GPSLongitude", "GPSLongitudeRef"] },
  iptc: { pick: ["Caption", "Keywords"] },
  ...{ ifd1: false, interop: false, xmp: false, icc: false, jfif: false, ihdr: false },
  ...{ makerNote: false, userComment: false, mergeOutput: false, reviveValues: false, translateValues: false },
} as const

type Tags = Readonly<Record<string, unknown>>

interface Blocks {
  readonly ifd0?: Tags
  readonly exif?: Tags
  readonly gps?: Tags
  readonly iptc?: Tags
}

/** @param format as `pictureFormat` gives it. Never throws because of what the file holds. */
export async function readPictureMetadata(bytes: Uint8Array, format: string | null): Promise<PictureMetadata> {
  const blocks = await blocksOf(bytes, format)
  const packet = xmpPart(bytes, format)
  const xmp = packet ? xmpIn(packet) : noXmp
  const { ifd0 = {}, exif = {}, iptc = {} } = blocks
  const rating = ratingOf(xmp.rating ?? ifd0.Rating)
  return {
    taken: takenOf(ifd0, exif, xmp),
    camera: cameraName(textOf(ifd0.Make), textOf(ifd0.Model)),
    lens: textOf(exif.LensModel),
    ...placeOf(blocks.gps?.latitude ?? xmp.latitude, blocks.gps?.longitude ?? xmp.longitude),
    caption: captionFrom([xmp.description, iptc.Caption, ifd0.ImageDescription]),
    keywords: keywordsFrom([xmp.subjects, iptc.Keywords, windowsWords(ifd0.XPKeywords)]),
    ...(rating === null ? {} : { rating }),
    orientation: orientationOf(bytes, format, ifd0.Orientation),
  }
}

async function blocksOf(bytes: Uint8Array, format: string | null): Promise<Blocks> {
  try {
    const block = exifBlock(bytes, format)
    if (block === null || block.length === 0) return {}
    const { default: exifr } = await import("exifr")
    return ((await exifr.parse(block, wanted as never)) as Blocks | undefined) ?? {}
  } catch {
    return {}
  }
}

/** The time that the shutter was pressed comes before the one of a scan, and that before the one of the last change. */
function takenOf(ifd0: Tags, exif: Tags, xmp: Xmp): Taken | null {
  return (
    takenAt(exif.DateTimeOriginal, exif.OffsetTimeOriginal ?? exif.OffsetTime) ??
    takenAt(exif.CreateDate, exif.OffsetTimeDigitized ?? exif.OffsetTime) ??
    takenAt(xmp.date, null) ??
    takenAt(ifd0.ModifyDate, exif.OffsetTime)
  )
}

/** Makers name themselves in their models too, more or less in full. */
export function cameraName(make: string | null, model: string | null): string | null {
  if (make === null || model === null) return model ?? make
  const [maker] = make.split(/[\s,]/) as [string]
  return model.toLowerCase().startsWith(maker.toLowerCase()) ? model : `${make} ${model}`
}

/** Both zero is what is written where the place is not known. */
export function placeOf(latitude: unknown, longitude: unknown): Pick<PictureMetadata, "latitude" | "longitude"> {
  const isPlace = isWithin(latitude, 90) && isWithin(longitude, 180) && (latitude !== 0 || longitude !== 0)
  return isPlace ? { latitude, longitude } : { latitude: null, longitude: null }
}

function isWithin(value: unknown, most: number): value is number {
  return typeof value === "number" && Math.abs(value) <= most
}

const longestName = 100

function textOf(value: unknown): string | null {
  return typeof value === "string" ? captionFrom([value.slice(0, longestName)]) : null
}

export function ratingOf(value: unknown): number | null {
  const stars = typeof value === "string" && value.trim() !== "" ? Number(value) : value
  return typeof stars === "number" && stars >= -1 && stars <= 5 ? Math.round(stars) : null
}

/** In UTF-16, with semicolons between them. */
function windowsWords(value: unknown): readonly string[] {
  const bytes = typeof value === "object" && value !== null ? Buffer.from(Object.values(value)) : null
  return bytes?.toString("utf16le").split(/[;\0]/) ?? []
}

function orientationOf(bytes: Uint8Array, format: string | null, value: unknown): number {
  if (format === "avif") return propertyOrientation(bytes)
  if (format === "heic" || format === "tif") return 1
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 8 ? value : 1
}
