/**
 * Small pictures to look at: for contact sheets and folders of thumbnails. They go through libvips, which reads a large JPEG file at
 * half, a quarter or an eighth of its size; what libvips would not open by itself, or not as it is to be (HEIC, AVIF, TIFF, GIF), is
 * decoded as for models.
 */
import type { Sharp } from "sharp"
import { UserError } from "../../core/errors.ts"
import { type Image8, image8 } from "../../core/image/pixels.ts"
import { readBytes } from "../files/files.ts"
import { decodeImage, defaultMaxPixels, explained, loadSharp, requireFewScans, requireFormat } from "./images.ts"
import { pictureFormat } from "./picture-format.ts"
import { pictureSize } from "./picture-size.ts"
import { requireAllowedSize } from "./pixel-limit.ts"

interface ReadOptions {
  /** Whether it is turned as its camera noted. */
  readonly orientation?: "ignore" | "apply"
  /** Larger pictures are refused before their pixels are read. */
  readonly maxPixels?: number
  /** For error messages when bytes are given instead of a path. */
  readonly name?: string
}

export interface ThumbnailOptions extends ReadOptions {
  /** Its longer side, in pixels; a smaller picture stays as large as it is. */
  readonly side: number
  readonly format?: "jpeg" | "webp"
}

export interface ThumbnailBox extends ReadOptions {
  /** Its sides at most, in pixels; a smaller picture stays as large as it is. */
  readonly width: number
  readonly height: number
}

export const thumbnailDefaults = { format: "jpeg", orientation: "apply", maxPixels: defaultMaxPixels } as const

const largestSide = 16_383
const quality = 80

/**
 * The file of a thumbnail, in sRGB and without metadata; what is transparent is white. Throws UserError as `decodeImage` does.
 *
 * @param source a path, or the bytes of a picture's file
 */
export async function thumbnail(source: string | Uint8Array, options: ThumbnailOptions): Promise<Buffer> {
  const { side, format = thumbnailDefaults.format, ...how } = options
  const { name, picture } = await smaller(source, { ...how, width: side, height: side })
  return explained(name, picture[format]({ quality }).toBuffer())
}

/** The same as pixels. */
export async function thumbnailPixels(source: string | Uint8Array, box: ThumbnailBox): Promise<Image8> {
  const { name, picture } = await smaller(source, box)
  const { data, info } = await explained(name, picture.raw().toBuffer({ resolveWithObject: true }))
  return image8(info.width, info.height, data)
}

async function smaller(source: string | Uint8Array, box: ThumbnailBox): Promise<{ name: string; picture: Sharp }> {
  const { width, height, orientation, maxPixels, name } = {
    ...thumbnailDefaults,
    ...{ name: typeof source === "string" ? source : "picture" },
    ...box,
  }
  for (const side of [width, height])
    if (!Number.isInteger(side) || side < 1 || side > largestSide)
      throw new UserError(`side must be a whole number from 1 to ${largestSide}, not ${side}`, "write { side: 256 }")
  // libvips reads it while others may change it.
  const bytes = typeof source === "string" ? await readBytes(source) : new Uint8Array(source)
  if (bytes.length === 0) throw new UserError(`${name} is empty`, "a picture file was expected")
  const picture = await open(bytes, { name, orientation, maxPixels })
  const small = picture.resize(width, height, { fit: "inside", withoutEnlargement: true })
  return { name, picture: small.flatten({ background: "white" }).toColourspace("srgb") }
}

type OpenOptions = Required<ReadOptions>

async function open(bytes: Uint8Array, { name, orientation, maxPixels }: OpenOptions): Promise<Sharp> {
  requireFormat(bytes, name)
  const sharp = await loadSharp()
  if (!["jpg", "png", "webp"].includes(pictureFormat(bytes)!)) {
    const { width, height, channels, data } = await decodeImage(bytes, { name, exif: orientation, maxPixels })
    return sharp(data, { raw: { width, height, channels } })
  }
  requireFewScans(bytes, name)
  const { width, height } = await pictureSize(bytes, name)
  requireAllowedSize(name, width, height, maxPixels)
  const picture = sharp(bytes, { failOn: "error", limitInputPixels: false })
  return orientation === "apply" ? picture.autoOrient() : picture
}
