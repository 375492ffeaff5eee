/**
 * A picture's file to the pixels of models. The addon decodes the columns of a JPEG file that they need and resizes rows as they
 * come, so that no whole picture is ever in memory; all other files are decoded first. Both give the same pixels.
 */
import { jpegDecoder, type PixelPlan } from "../../jpeg/index.ts"
import type { Image8 } from "../core/image/pixels.ts"
import { preprocess } from "../core/image/preprocess.ts"
import { type DecodeOptions, decodeHere, decodeImage, defaultMaxPixels, isForAddon } from "../host/image/images.ts"
import { orientationOf } from "../host/image/orientation.ts"
import { denominatorFor, planOf, type Wanted } from "./pixel-plan.ts"

export interface PixelOptions extends Pick<DecodeOptions, "exif" | "maxPixels" | "truncated"> {
  /**
   * Whether the decoder may make large JPEG files smaller itself: by 2, 4 or 8, to no less than twice what models take. It takes
   * half the time for 12 million pixels. Pixels differ by 0.6 of 255 or less in the mean, 17 at most, and cosines of S0's
   * vectors (generated weights) are 1 - 1.2e-7 or more, measured on six photographs (`bench/pipeline.ts --scaled`). Other
   * files, and all where the addon is not built, are not affected.
   */
  readonly scaled?: boolean
}

/** Where the work is done: in this thread, which has nothing else to do, or in others as far as possible. */
export type Where = "here" | "beside"

/** Fills `out` of all that is wanted. Throws UserError as `decodeImage` does. */
export async function preparePixels(
  bytes: Uint8Array,
  wanted: readonly Wanted[],
  { scaled = false, ...options }: PixelOptions & { readonly name: string },
  where: Where,
): Promise<void> {
  const plan = directPlan(bytes, wanted, { ...options, scaled })
  if (plan && (where === "here" ? jpegDecoder!.prepare(bytes, plan) : await jpegDecoder!.prepareAsync(bytes, plan)))
    return
  const image = await (where === "here" ? decodeHere : decodeImage)(bytes, options)
  fillFrom(image, wanted)
}

export function fillFrom(image: Image8, wanted: readonly Wanted[]): void {
  for (const { preprocessing, out } of wanted) preprocess(image, preprocessing, out)
}

/** Null where the file must be decoded as a whole: another format, too large, damaged at its beginning, or to be turned. */
function directPlan(bytes: Uint8Array, wanted: readonly Wanted[], options: PixelOptions): PixelPlan | null {
  const { exif, maxPixels = defaultMaxPixels, scaled } = options
  if (!isForAddon(bytes, options) || (exif === "apply" && orientationOf(bytes) !== 1)) return null
  // Without a pixel allowed, it reads the size.
  const size = jpegDecoder!.decode(bytes, 0)
  if (!size || size.width * size.height > maxPixels) return null
  return planOf(size, wanted, scaled ? denominatorFor(size, wanted) : 1)
}
