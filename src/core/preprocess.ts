/** From a decoded picture to the tensor an image tower takes: shortest side, center crop, scale, normalise. */
import type { Image8 } from "./pixels.ts"
import { type Interpolation, resizeAndCenterCrop } from "./resize.ts"

/** Travels with the weights, as JSON. */
export interface Preprocessing {
  /** Height and width of the input, in pixels. */
  readonly size: number
  readonly interpolation: Interpolation
  /** Of red, green and blue, for values in 0..1. Zeros and ones where a model takes 0..1 as it is. */
  readonly mean: readonly [number, number, number]
  readonly std: readonly [number, number, number]
}

/**
 * [3, size, size] float32, equal to torchvision's Resize, CenterCrop, ToTensor and Normalize on a Pillow RGB image.
 *
 * @param out where to put it, for example one row of a batch; 3 * size * size long
 */
export function preprocess(image: Image8, p: Preprocessing, out = new Float32Array(3 * p.size * p.size)): Float32Array {
  return normalize(resizeAndCenterCrop(image, p.size, p.interpolation), p, out)
}

/** [H, W, 3] bytes -> [3, H, W] float32: (value / 255 - mean) / std, each step rounded to float32 as in torch. */
export function normalize(
  image: Image8,
  p: Pick<Preprocessing, "mean" | "std">,
  out = new Float32Array(image.width * image.height * 3),
): Float32Array {
  const area = image.width * image.height
  for (let channel = 0; channel < 3; channel++) {
    const table = normalizedBytes(p.mean[channel]!, p.std[channel]!)
    for (let i = 0; i < area; i++) out[channel * area + i] = table[image.data[i * 3 + channel]!]!
  }
  return out
}

/** The result for each of the 256 values a byte can have. */
function normalizedBytes(mean: number, std: number): Float32Array {
  const [m, s] = [Math.fround(mean), Math.fround(std)]
  return Float32Array.from({ length: 256 }, (_, v) => Math.fround(Math.fround(v / 255) - m) / s)
}
