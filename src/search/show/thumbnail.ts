/** Small pictures to look at: turned as the camera was held, colours in sRGB, transparent parts on white. */
import { messageOf, UserError } from "../../core/errors.ts"
import { type Image8, image8 } from "../../core/image/pixels.ts"
import { readBytes } from "../../host/files/files.ts"
import { decodeImage, defaultMaxPixels } from "../../host/image/images.ts"
import { pictureFormat } from "../../host/image/picture-format.ts"

export interface ThumbnailSize {
  /** In pixels; the picture is at most so large, keeps its shape, and is never enlarged. */
  readonly width: number
  readonly height: number
}

/** The formats that libvips makes smaller while it reads them, in a tenth of the time. */
const shrunkFormats = ["jpg", "png", "webp", "gif", "tif", "avif"]

/** RGB of at most `size`. Throws UserError where the file cannot be read. */
export async function thumbnail(path: string, size: ThumbnailSize): Promise<Image8> {
  const pipeline = await openThumbnail(path, size)
  const { data, info } = await named(path, pipeline.raw().toBuffer({ resolveWithObject: true }))
  return image8(info.width, info.height, data)
}

/** An encoded picture of at most `size`. Throws UserError where the file cannot be read. */
export async function thumbnailFile(path: string, size: ThumbnailSize, format: "jpeg" | "png"): Promise<Uint8Array> {
  const pipeline = await openThumbnail(path, size)
  return named(path, pipeline.toFormat(format, format === "jpeg" ? { quality: 80 } : {}).toBuffer())
}

async function openThumbnail(path: string, { width, height }: ThumbnailSize) {
  const { default: sharp } = await import("sharp")
  const bytes = await readBytes(path)
  const format = pictureFormat(bytes)
  const isShrunk = format !== null && shrunkFormats.includes(format)
  const picture = isShrunk
    ? sharp(bytes, { failOn: "none", limitInputPixels: defaultMaxPixels }).autoOrient()
    : await decoded(path, bytes)
  const small = picture.resize(width, height, { fit: "inside", withoutEnlargement: true })
  return small.flatten({ background: "white" }).toColourspace("srgb")
}

/** Refuses what is not a picture, with the reason. */
async function decoded(path: string, bytes: Uint8Array) {
  const { default: sharp } = await import("sharp")
  const { width, height, data } = await decodeImage(bytes, { exif: "apply", truncated: "accept", name: path })
  return sharp(data, { raw: { width, height, channels: 3 } })
}

async function named<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    const isLarge = messageOf(error).includes("pixel limit")
    throw new UserError(`${path} ${isLarge ? "has too many pixels" : "is damaged"}`, "leave it out", { cause: error })
  }
}
