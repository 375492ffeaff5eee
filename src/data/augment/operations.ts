/** RandAugment's operations as torchvision (0.14) does them on Pillow pictures, bit for bit. */

import { rotate, shearX, shearY, translate } from "./affine.ts"
import { opNames, type StoredOp } from "./augmentation.ts"
import type { ByteTable, Canvas } from "./canvas.ts"

type OpName = (typeof opNames)[number]

export function applyOp(canvas: Canvas, [op, magnitude]: StoredOp): void {
  operations[opNames[op]!](canvas, magnitude)
}

const operations: Record<OpName, (canvas: Canvas, magnitude: number) => void> = {
  Identity: () => {},
  ShearX: shearX,
  ShearY: shearY,
  TranslateX: (canvas, m) => translate(canvas, m, 0),
  TranslateY: (canvas, m) => translate(canvas, 0, m),
  Rotate: rotate,
  Brightness: (canvas, m) => canvas.lookUp(blend(0, m)),
  Color: (canvas, m) => canvas.blendGray(Math.fround(1 + m)),
  Contrast: (canvas, m) => canvas.lookUp(blend(Math.trunc(canvas.meanGray() + 0.5), m)),
  Sharpness: (canvas, m) => canvas.sharpen(Math.fround(1 + m)),
  Posterize: (canvas, m) => canvas.lookUp(keepBits(Math.trunc(m))),
  Solarize: (canvas, m) => canvas.lookUp((value) => (value < m ? value : 255 - value)),
  AutoContrast: (canvas) => canvas.lookUpEach(each(canvas.histograms(), stretch)),
  Equalize: (canvas) => canvas.lookUpEach(each(canvas.histograms(), equalize)),
}

function each<T, R>([red, green, blue]: readonly [T, T, T], work: (item: T) => R): [R, R, R] {
  return [work(red), work(green), work(blue)]
}

/** Blends from one value towards all others, or beyond, by a factor of 1 + m, in float32; fractions are cut off. */
function blend(from: number, m: number): ByteTable {
  const factor = Math.fround(1 + m)
  return (value) => Math.trunc(Math.fround(from + Math.fround(factor * (value - from))))
}

function keepBits(bits: number): ByteTable {
  const mask = (0xff << (8 - bits)) & 0xff
  return (value) => value & mask
}

/** The lowest value that occurs becomes 0, the highest 255. */
function stretch(histogram: Uint32Array): ByteTable {
  const low = histogram.findIndex((count) => count > 0)
  const high = histogram.findLastIndex((count) => count > 0)
  if (high <= low) return (value) => value
  const scale = 255 / (high - low)
  const offset = -low * scale
  return (value) => Math.trunc(value * scale + offset)
}

/** Histogram equalization as in Pillow: the last value that occurs does not count for the step. */
function equalize(histogram: Uint32Array): ByteTable {
  const occurring = histogram.filter((count) => count > 0)
  const total = occurring.reduce((sum, count) => sum + count, 0)
  const step = Math.floor((total - occurring.at(-1)!) / 255)
  if (occurring.length <= 1 || step === 0) return (value) => value
  const below = new Float64Array(256)
  histogram.forEach((count, value) => {
    if (value < 255) below[value + 1] = below[value]! + count
  })
  return (value) => Math.floor((Math.floor(step / 2) + below[value]!) / step)
}
