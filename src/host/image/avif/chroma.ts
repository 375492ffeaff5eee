/**
 * AVIF files whose colours are stored at half the size (8 bits, 4:2:0 or 4:2:2). Pillow interpolates them (libavif, with libyuv's
 * bilinear filter), and libheif repeats each for its pixels, which at hard edges makes differences of up to 100. So libheif is told
 * that the three planes are green, blue and red, and hands them over as they are; they become colours here, within 1 of Pillow.
 */
import { type Image8, image8 } from "../../../core/image/pixels.ts"
import { type Box, boxesBelow } from "../heif/boxes.ts"

interface PlanesFile {
  /** The file that gives red-difference, luma and blue-difference where it had red, green and blue. */
  readonly file: Uint8Array
  readonly colours: Colours
  /** Whether colours have half the rows, too. */
  readonly isHalfHigh: boolean
}

interface Colours {
  /** Shares of red and blue in the luma. */
  readonly red: number
  readonly blue: number
  readonly isFullRange: boolean
}

/** Matrices by their number in ITU-T H.273; 2 says nothing, and is read as 601. */
const matrices: Readonly<Record<number, readonly [red: number, blue: number]>> = {
  1: [0.2126, 0.0722],
  2: [0.299, 0.114],
  5: [0.299, 0.114],
  6: [0.299, 0.114],
  9: [0.2627, 0.0593],
}

/** Null for files of another kind: other sizes, depths and matrices, several tiles, and those whose boxes do not tell. */
export function asPlanes(bytes: Uint8Array): PlanesFile | null {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const properties = [...boxesBelow(file, ["meta", "iprp", "ipco"])]
  const colours = properties.filter((box) => isColours(file, box))
  const found = new Set(colours.map(({ start }) => file.toString("hex", start + matrixAt, start + rangeAt + 1)))
  const [first] = colours
  const chroma = chromaSizes(file, properties)
  if (!first || found.size > 1 || !isOnePicture(file) || chroma.size !== 1) return null
  const isHalfHigh = chroma.has("4:2:0")
  if (!isHalfHigh && !chroma.has("4:2:2")) return null
  const matrix = matrices[file.readUInt16BE(first.start + matrixAt)]
  if (!matrix) return null
  const planes = Buffer.from(file)
  // The identity, in full range.
  for (const { start } of colours) planes.set([0, 0, 0x80], start + matrixAt)
  const isFullRange = (file[first.start + rangeAt]! & 0x80) !== 0
  return { file: planes, isHalfHigh, colours: { red: matrix[0], blue: matrix[1], isFullRange } }
}

/** In a `colr` box: after its type, primaries and transfer. */
const matrixAt = 8
const rangeAt = 10

function isColours(file: Buffer, { type, start, end }: Box): boolean {
  return type === "colr" && textAt(file, start) === "nclx" && end - start > rangeAt
}

function textAt(file: Buffer, at: number): string {
  return file.toString("latin1", at, at + 4)
}

/** Tiles would be colours before they are put together, and an animation has its own boxes. */
function isOnePicture(file: Buffer): boolean {
  const items = [...boxesBelow(file, ["meta", "iinf"])].map(({ start }) =>
    textAt(file, start + (file[start] === 2 ? 8 : 10)),
  )
  const isAnimation = [...boxesBelow(file, [])].some(({ type }) => type === "moov")
  return !isAnimation && items.length > 0 && items.every((type) => ["av01", "Exif", "mime"].includes(type))
}

/** By the codec's configuration, which has more bits for more depth. An alpha channel is gray. */
function chromaSizes(file: Buffer, properties: readonly Box[]): ReadonlySet<string> {
  const codecs = properties.filter(({ type }) => type === "av1C").map(({ start }) => file[start + 2] ?? 0)
  const coloured = codecs.filter((flags) => (flags & 0x10) === 0)
  return new Set(coloured.map((flags) => ({ 8: "4:2:2", 12: "4:2:0" })[flags & 0x6c] ?? "another"))
}

/** The picture of its planes; null where colours are not the same for all pixels that share one. */
export function fromPlanes(planes: Image8, { colours, isHalfHigh }: Omit<PlanesFile, "file">): Image8 | null {
  const [reds, blues] = [chromaOf(planes, 0, isHalfHigh), chromaOf(planes, 2, isHalfHigh)]
  if (!reds || !blues) return null
  const { width, height, data } = planes
  const toRgb = converter(colours)
  const rgb = new Uint8ClampedArray(data.length)
  const rows = [reds, blues].map(({ width }) => new Uint16Array(width)) as [Uint16Array, Uint16Array]
  for (let y = 0; y < height; y++) {
    const [near, far] = isHalfHigh ? [y >> 1, neighbour(y, reds.height)] : [y, y]
    mixRows(reds, near, far, rows[0])
    mixRows(blues, near, far, rows[1])
    for (let x = 0, at = y * width * 3; x < width; x++, at += 3) {
      // libyuv leaves the last pixel of a row unmixed, also where the width is odd.
      const other = x === width - 1 ? x >> 1 : neighbour(x, reds.width)
      toRgb(data[at + 1]!, mixed(rows[0], x >> 1, other), mixed(rows[1], x >> 1, other), rgb, at)
    }
  }
  return image8(width, height, rgb)
}

interface Chroma {
  readonly width: number
  readonly height: number
  readonly data: Uint8Array
}

function chromaOf({ width, height, data }: Image8, channel: number, isHalfHigh: boolean): Chroma | null {
  const down = isHalfHigh ? 1 : 0
  const chroma = { width: (width + 1) >> 1, height: (height + down) >> down }
  const values = new Uint8Array(chroma.width * chroma.height)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const to = (y >> down) * chroma.width + (x >> 1)
      const value = data[(y * width + x) * 3 + channel]!
      if ((x | (y & down)) & 1 && values[to] !== value) return null
      values[to] = value
    }
  }
  return { ...chroma, data: values }
}

/** The nearest row counts three times, the next one once. */
function mixRows({ width, data }: Chroma, near: number, far: number, row: Uint16Array): void {
  for (let x = 0; x < width; x++) row[x] = 3 * data[near * width + x]! + data[far * width + x]!
}

function mixed(row: Uint16Array, near: number, far: number): number {
  return (3 * row[near]! + row[far]! + 8) >> 4
}

/** The sample on the other side of a pixel from its own; its own at an edge. */
function neighbour(pixel: number, samples: number): number {
  return Math.min(Math.max((pixel >> 1) + (pixel & 1 ? 1 : -1), 0), samples - 1)
}

function converter({ red, blue, isFullRange }: Colours) {
  const [zero, scale, chromaScale] = isFullRange ? [0, 1, 1] : [16, 255 / 219, 255 / 224]
  const [toRed, toBlue] = [2 * (1 - red) * chromaScale, 2 * (1 - blue) * chromaScale]
  const [redToGreen, blueToGreen] = [(toRed * red) / (1 - red - blue), (toBlue * blue) / (1 - red - blue)]
  return (luma: number, redness: number, blueness: number, rgb: Uint8ClampedArray, at: number) => {
    const [l, r, b] = [(luma - zero) * scale, redness - 128, blueness - 128]
    rgb[at] = l + toRed * r
    rgb[at + 1] = l - redToGreen * r - blueToGreen * b
    rgb[at + 2] = l + toBlue * b
  }
}
