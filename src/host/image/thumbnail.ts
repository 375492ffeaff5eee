/**
 * Small pictures to look at: for contact sheets and folders of thumbnails. They go through libvips, which reads a large JPEG file at
 * half, a quarter or an eighth of its size; what libvips would not open by itself, or not as it is to be (HEIC, AVIF, TIFF, GIF), is
 * decoded as for models.
 */
import type { Sharp } from "sharp"
import { UserError } from "../../core/errors.ts"
import { readBytes } from "../files/files.ts"
import { decodeImage, defaultMaxPixels, explained, loadSharp, requireFewScans, requireFormat } from "./images.ts"
import { pictureFormat } from "./picture-format.ts"
import { pictureSize } from "./picture-size.ts"
import { requireAllowedSize } from "./pixel-limit.ts"

export interface ThumbnailOptions {
  /** Its longer side, in pixels; a smaller picture stays as large as it is. */
  readonly side: number
  readonly format?: "jpeg" | "webp"
  /** Whether it is turned as its camera noted. */
  readonly orientation?: "ignore" | "apply"
  /** Larger pictures are refused before their pixels are read. */
  readonly maxPixels?: number
  /** For error messages when bytes are given instead of a path. */
  readonly name?: string
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
  const { side, format, orientation, maxPixels, name } = {
    ...thumbnailDefaults,
    ...{ name: typeof source === "string" ? source : "picture" },
    ...options,
  }
  if (!Number.isInteger(side) || side < 1 || side > largestSide)
    throw new UserError(`side must be a whole number from 1 to ${largestSide}, not ${side}`, "write { side: 256 }")
  // libvips reads it while others may change it.
  const bytes = typeof source === "string" ? await readBytes(source) : new Uint8Array(source)
  if (bytes.length === 0) throw new UserError(`${name} is empty`, "a picture file was expected")
  const picture = await open(bytes, { name, orientation, maxPixels })
  const small = picture
    .resize(side, side, { fit: "inside", withoutEnlargement: true })
    .flatten({ background: "white" })
    .toColourspace("srgb")
  return explained(name, small[format]({ quality }).toBuffer())
}

type OpenOptions = Required<Pick<ThumbnailOptions, "name" | "orientation" | "maxPixels">>

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
