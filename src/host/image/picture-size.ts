/** The size of a picture by its header: its pixels are not decoded. */
import sharp from "sharp"
import { UserError } from "../../core/errors.ts"
import { requireFormat } from "./images.ts"
import { pictureFormat } from "./picture-format.ts"
import { firstPage } from "./tiff-pages.ts"

export interface PictureSize {
  readonly width: number
  readonly height: number
}

/** The size as stored, whatever orientation a camera noted. Throws UserError, beginning with `name`, where it is not a picture. */
export async function pictureSize(bytes: Uint8Array, name: string): Promise<PictureSize> {
  requireFormat(bytes, name)
  try {
    const { width, height } = await sharp(pictureFormat(bytes) === "tif" ? firstPage(bytes) : bytes, {
      limitInputPixels: false,
    }).metadata()
    return { width, height }
  } catch (error) {
    throw new UserError(`${name} is not a picture, or its header is damaged`, undefined, { cause: error })
  }
}
