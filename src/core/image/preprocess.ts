/** From a decoded picture to the tensor an image tower takes: shortest side, center crop, scale, normalise. */
import { requireImages } from "../arguments.ts"
import { assert } from "../errors.ts"
import { type Kernels, withKernels } from "../kernels/kernels.ts"
import { centerBox, type Image8 } from "./pixels.ts"
import { fullBox, type Interpolation, resizeInKernels, shortestSide } from "./resize.ts"

/** Travels with the weights, as JSON. */
export interface Preprocessing {
  /** Height and width of the input, in pixels. */
  readonly size: number
  readonly interpolation: Interpolation
  /** For red, green and blue, of values in 0..1. Zeros here and ones in `std` where a model takes 0..1 as it is. */
  readonly mean: readonly [number, number, number]
  readonly std: readonly [number, number, number]
}

/**
 * [3, size, size] float32, equal to torchvision's Resize, CenterCrop, ToTensor and Normalize on a Pillow RGB image.
 *
 * @param out where to put it, for example one row of a batch; 3 * size * size long
 */
export function preprocess(
  image: Image8,
  p: Preprocessing,
  out: Float32Array = new Float32Array(3 * p.size * p.size),
): Float32Array {
  requireImages([image])
  const to = shortestSide(image, p.size)
  const window = centerBox(to.width, to.height, p.size)
  return withKernels((kernels) => {
    const pixels = resizeInKernels(kernels, image, fullBox(image), to, window, p.interpolation)
    lookUpFloats(kernels, pixels, p.size * p.size, normalizedBytes(p), out)
    return out
  })
}

/** Pictures of any size -> [N, 3, size, size], each as `preprocess` gives it. */
export function preprocessBatch(images: readonly Image8[], p: Preprocessing): Float32Array {
  const length = 3 * p.size * p.size
  const pixels = new Float32Array(images.length * length)
  images.forEach((image, i) => {
    preprocess(image, p, pixels.subarray(i * length, (i + 1) * length))
  })
  return pixels
}

/** [H, W, 3] bytes -> [3, H, W] float32: (value / 255 - mean) / std, each step rounded to float32 as in torch. */
export function normalize(
  image: Image8,
  p: Pick<Preprocessing, "mean" | "std">,
  out = new Float32Array(image.width * image.height * 3),
): Float32Array {
  return withKernels((kernels) => {
    lookUpFloats(kernels, kernels.put(image.data), image.width * image.height, normalizedBytes(p), out)
    return out
  })
}

/** Pixels in the kernels' memory -> [3, count] floats by [3, 256] tables, one per channel. */
export function lookUpFloats(
  kernels: Kernels,
  pixels: number,
  count: number,
  tables: Float32Array,
  out: Float32Array,
): void {
  assert(out.length === count * 3, `${count} normalised pixels in ${out.length} floats`)
  const floats = kernels.reserve(out.byteLength)
  kernels.run.lookUpFloats(pixels, count, kernels.put(tables), floats)
  out.set(kernels.float32(floats, out.length))
}

let lastTables: { readonly key: string; readonly tables: Float32Array } | null = null

/** [3, 256]: the normalised values of all bytes, by channel. */
export function normalizedBytes({ mean, std }: Pick<Preprocessing, "mean" | "std">): Float32Array {
  const key = `${mean} ${std}`
  if (lastTables?.key === key) return lastTables.tables
  const tables = Float32Array.from({ length: 768 }, (_, i) => {
    const [m, s] = [Math.fround(mean[i >> 8]!), Math.fround(std[i >> 8]!)]
    return Math.fround(Math.fround((i & 255) / 255) - m) / s
  })
  lastTables = { key, tables }
  return tables
}
