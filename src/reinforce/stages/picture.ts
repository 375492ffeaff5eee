/** A sample's picture, decoded, or the reason why it is not worth a teacher's time. */
import { UserError } from "../../core/errors.ts"
import type { Image8 } from "../../core/image/pixels.ts"
import type { ReinforcedSample } from "../../data/reinforced/sample.ts"
import { type DecodedImage, decodeImage } from "../../host/image/images.ts"
import type { Truncated } from "../../host/image/picture-format.ts"

interface PictureRules {
  /** The least that the shorter side may have, in pixels. */
  readonly minImageSize: number
  /** What becomes of a JPEG or PNG that ends before its end. Default: what is there is taken. */
  readonly truncated?: Truncated
}

/**
 * RGB pixels. Throws UserError where there is no picture, or it is damaged, animated, or smaller than the rules ask for.
 */
export async function decodePicture(
  sample: ReinforcedSample,
  { minImageSize, truncated = "accept" }: PictureRules,
): Promise<DecodedImage> {
  if (!sample.image) throw new UserError("it has no picture")
  const image = await decodeImage(sample.image.bytes, { name: "its picture", animated: "refuse", truncated })
  requireSize(image, minImageSize)
  return image
}

/** Throws UserError where the shorter side has fewer pixels. */
export function requireSize({ width, height }: Pick<Image8, "width" | "height">, minImageSize: number): void {
  if (Math.min(width, height) >= minImageSize) return
  throw new UserError(
    `its picture has ${width} x ${height} pixels, and ${minImageSize} is the least (--min-image-size)`,
  )
}
