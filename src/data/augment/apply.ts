/** Makes a stored view again from the original picture: crop, resize, operations. It has the same bytes every time. */

import { type Image8, image8 } from "../../core/image/pixels.ts"
import type { Preprocessing } from "../../core/image/preprocess.ts"
import { fullBox, type Interpolation, resizeInKernels } from "../../core/image/resize.ts"
import { type Kernels, withKernels } from "../../core/kernels/kernels.ts"
import type { StoredAugmentation } from "./augmentation.ts"
import { Canvas } from "./canvas.ts"
import { applyOp } from "./operations.ts"
import { checkInside } from "./stored.ts"

/**
 * The view as `size` x `size` pixels. Magnitudes are applied as they are stored, whatever the size.
 *
 * @param name the picture's name, for messages
 * @throws UserError when the stored crop does not lie inside the picture
 */
export function applyAugmentation(
  image: Image8,
  augmentation: StoredAugmentation,
  size: number,
  interpolation: Interpolation,
  name = "picture",
): Image8 {
  return withKernels((kernels) => {
    const view = placeView(kernels, image, augmentation, size, interpolation, name)
    return image8(size, size, kernels.uint8(view.finish(), view.count * 3).slice())
  })
}

/** The same, normalised: [3, size, size]. */
export function augmentedPixels(
  image: Image8,
  augmentation: StoredAugmentation,
  p: Preprocessing,
  out: Float32Array = new Float32Array(3 * p.size * p.size),
  name = "picture",
): Float32Array {
  return withKernels((kernels) => {
    const view = placeView(kernels, image, augmentation, p.size, p.interpolation, name)
    view.finishNormalized(p, out)
    return out
  })
}

function placeView(
  kernels: Kernels,
  image: Image8,
  [crop, ops]: StoredAugmentation,
  size: number,
  interpolation: Interpolation,
  name: string,
): Canvas {
  checkInside(crop, image, name)
  const [top, left, height, width] = crop
  const to = { width: size, height: size }
  const pixels = resizeInKernels(kernels, image, { left, top, width, height }, to, fullBox(to), interpolation)
  const canvas = new Canvas(kernels, pixels, size, size)
  for (const op of ops ?? []) applyOp(canvas, op)
  return canvas
}
