/** From a picture's file to the normalised views of it that encoders take. */

import { Random } from "../../core/arrays/random.ts"
import type { Preprocessing } from "../../core/image/preprocess.ts"
import type { Size } from "../../core/image/resize.ts"
import { decodeHere } from "../../host/image/images.ts"
import type { Truncated } from "../../host/image/picture-format.ts"
import { augmentedPixels } from "./apply.ts"
import type { StoredAugmentation } from "./augmentation.ts"
import type { AugmentationConfig } from "./config.ts"
import { drawAugmentation } from "./draw.ts"

export interface ViewRequest {
  /** The picture's name, for messages. */
  readonly name: string
  /** The picture's file. */
  readonly bytes: Uint8Array
  /** The views of it, or how to draw them. */
  readonly views: readonly StoredAugmentation[] | DrawnViews
  /** Every view is made for each target; equal targets share the result. */
  readonly targets: readonly Preprocessing[]
  /** Larger pictures are refused. */
  readonly maxPixels?: number
  /** Whether the first frame of an animation is taken, or the animation is refused. */
  readonly animated?: "first" | "refuse"
  /** Whether a JPEG or PNG that is cut off is used as far as it goes; default: it is refused. */
  readonly truncated?: Truncated
}

/** Views drawn from the stream `Random.of(seed, ...path)`, so they do not depend on which thread draws them, or when. */
interface DrawnViews {
  readonly count: number
  readonly config: Omit<AugmentationConfig, "normalize">
  readonly seed: number
  readonly path: readonly (string | number)[]
}

export interface MadeViews {
  /** Size of the picture. */
  readonly size: Size
  /** Whether the picture was cut off. */
  readonly isCutOff: boolean
  readonly augmentations: readonly StoredAugmentation[]
  /** For each target [views, 3, size, size]. */
  readonly pixels: readonly Float32Array<ArrayBuffer>[]
}

/**
 * Throws UserError when the picture is damaged or too large, or a stored view does not fit it.
 *
 * @param spares arrays that may be overwritten: those of the right length are used again
 */
export async function makeViews(request: ViewRequest, spares: Float32Array<ArrayBuffer>[] = []): Promise<MadeViews> {
  const { name, bytes, targets, maxPixels, animated, truncated } = request
  const image = await decodeHere(bytes, {
    name,
    ...(maxPixels !== undefined && { maxPixels }),
    ...(animated && { animated }),
    ...(truncated && { truncated }),
  })
  const augmentations = "config" in request.views ? draw(request.views, image) : request.views
  const made = new Map<string, Float32Array<ArrayBuffer>>()
  const pixels = targets.map((target) => {
    const key = JSON.stringify([target.size, target.interpolation, target.mean, target.std])
    const known = made.get(key)
    if (known) return known
    const length = 3 * target.size * target.size
    const out = takeSpare(spares, augmentations.length * length)
    made.set(key, out)
    for (const [i, view] of augmentations.entries())
      augmentedPixels(image, view, target, out.subarray(i * length, (i + 1) * length), name)
    return out
  })
  const { width, height, isCutOff = false } = image
  return { size: { width, height }, isCutOff, augmentations, pixels }
}

function draw({ count, config, seed, path }: DrawnViews, image: Size): StoredAugmentation[] {
  const random = Random.of(seed, ...path)
  return Array.from({ length: count }, () => drawAugmentation(config, image, random))
}

/** Reuses an array, because the system has to clear new memory, which takes a twentieth of the time of a view. */
function takeSpare(spares: Float32Array<ArrayBuffer>[], length: number): Float32Array<ArrayBuffer> {
  const index = spares.findIndex((spare) => spare.length === length)
  return index < 0 ? new Float32Array(length) : spares.splice(index, 1)[0]!
}
