/**
 * Milliseconds from decoded pixels to the tensor of an image tower, one thread: median and best of 20.
 *
 *     npm run build && node dist/bench/preprocess.js
 */

import { Random } from "../src/core/arrays/random.ts"
import { type Image8, image8 } from "../src/core/image/pixels.ts"
import { preprocess } from "../src/core/image/preprocess.ts"
import { type Interpolation, resizeAndCenterCrop } from "../src/core/image/resize.ts"

const size = 256
const shots = 20

for (const [width, height] of [
  [640, 480],
  [3000, 2000],
] as const) {
  const image = noise(width, height)
  for (const interpolation of ["bilinear", "bicubic"] as const) report(image, interpolation)
}

function report(image: Image8, interpolation: Interpolation): void {
  const out = new Float32Array(3 * size * size)
  const p = { size, interpolation, mean: [0, 0, 0], std: [1, 1, 1] } as const
  const resize = times(() => resizeAndCenterCrop(image, size, interpolation))
  const all = times(() => preprocess(image, p, out))
  console.log(`${image.width} x ${image.height} -> ${size}, ${interpolation}: resize ${resize}, with normalise ${all}`)
}

function times(work: () => void): string {
  for (let i = 0; i < 3; i++) work()
  const milliseconds = Array.from({ length: shots }, () => {
    const start = performance.now()
    work()
    return performance.now() - start
  }).sort((a, b) => a - b)
  return `${milliseconds[shots / 2]!.toFixed(2)} ms (best ${milliseconds[0]!.toFixed(2)})`
}

function noise(width: number, height: number): Image8 {
  const random = new Random(1)
  return image8(
    width,
    height,
    Uint8Array.from({ length: width * height * 3 }, () => random.uint32()),
  )
}
