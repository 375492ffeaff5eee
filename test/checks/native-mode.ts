/**
 * What open_clip's transform does to a picture that nobody converted to RGB before (Pillow 9.4): palette and 1-bit
 * pictures are resized by nearest neighbour, pictures with alpha premultiplied. Only the golden data needs it.
 */
import sharp from "sharp"
import { centerBox, type Image8, image8 } from "../../src/core/image/pixels.ts"
import { type Interpolation, resizeAndCenterCrop, shortestSide } from "../../src/core/image/resize.ts"
import { decodeImage } from "../../src/host/image/images.ts"

/** @param mode Pillow's name of the picture's mode */
export async function resizeInMode(
  path: string,
  mode: string,
  size: number,
  interpolation: Interpolation,
): Promise<Image8> {
  switch (mode) {
    case "P":
    case "1":
      return resizeNearest(await decodeImage(path), size)
    case "RGBA":
    case "LA":
      return resizePremultiplied(path, size, interpolation)
    case "RGB":
    case "L":
      return resizeAndCenterCrop(await decodeImage(path), size, interpolation)
    default:
      throw new Error(`no rule for pictures of mode "${mode}"`)
  }
}

function resizeNearest(image: Image8, size: number): Image8 {
  const to = shortestSide(image, size)
  const columns = nearest(image.width, to.width)
  const rows = nearest(image.height, to.height)
  const box = centerBox(to.width, to.height, size)
  const data = new Uint8Array(size * size * 3)
  for (let i = 0; i < size * size; i++) {
    const row = rows[box.top + Math.floor(i / size)]!
    const start = (row * image.width + columns[box.left + (i % size)]!) * 3
    data.set(image.data.subarray(start, start + 3), i * 3)
  }
  return image8(size, size, data)
}

/** Which input is nearest to each output; positions are added up, as Pillow does, which decides ties. */
function nearest(from: number, to: number): number[] {
  const scale = from / to
  let position = scale * 0.5
  return Array.from({ length: to }, () => {
    const index = Math.trunc(position)
    position += scale
    return index
  })
}

async function resizePremultiplied(path: string, size: number, interpolation: Interpolation): Promise<Image8> {
  const { data, info } = await sharp(path)
    .toColourspace("srgb")
    .ensureAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true })
  const resized = (value: (pixel: number, channel: number) => number) => {
    const bytes = Uint8Array.from({ length: info.width * info.height * 3 }, (_, i) => value(Math.floor(i / 3), i % 3))
    return resizeAndCenterCrop(image8(info.width, info.height, bytes), size, interpolation).data
  }
  const alpha = resized((pixel) => data[pixel * 4 + 3]!)
  const colour = resized((pixel, channel) => timesByte(data[pixel * 4 + channel]!, data[pixel * 4 + 3]!))
  return image8(
    size,
    size,
    Uint8ClampedArray.from(colour, (value, i) =>
      alpha[i] === 0 || alpha[i] === 255 ? value : Math.trunc((255 * value) / alpha[i]!),
    ),
  )
}

/** a * b / 255, rounded. */
function timesByte(a: number, b: number): number {
  const t = a * b + 128
  return ((t >> 8) + t) >> 8
}
