/** How a camera was held, as the EXIF data of a JPEG file say it, and pictures that are turned by it. */
import { type Image8, image8 } from "../../core/image/pixels.ts"

/** EXIF's number: 1 is as stored, 2 mirrored, 3 upside down, 6 and 8 on a side; 4, 5 and 7 are mirrored too. */
export type Orientation = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8

/** Null where the file says it in a way that another reader may understand otherwise: twice, or with another type. */
export function orientationOf(jpeg: Uint8Array): Orientation | null {
  const blocks = exifBlocks(Buffer.from(jpeg.buffer, jpeg.byteOffset, jpeg.byteLength))
  if (blocks === null || blocks.length > 1) return null
  return blocks.length === 0 ? 1 : orientationIn(blocks[0]!)
}

const exifName = "Exif\0\0"

/** Null where markers do not follow each other to the first scan. */
function exifBlocks(file: Buffer): Buffer[] | null {
  const blocks: Buffer[] = []
  for (let at = 2; at + 4 <= file.length; ) {
    const marker = file[at + 1]!
    if (file[at] !== 0xff || marker < 0xc0 || (marker >= 0xd0 && marker <= 0xd9)) return null
    if (marker === 0xda) return blocks
    const end = at + 2 + file.readUInt16BE(at + 2)
    const isExif = marker === 0xe1 && file.toString("latin1", at + 4, at + 4 + exifName.length) === exifName
    if (isExif) blocks.push(file.subarray(at + 4 + exifName.length, end))
    at = end
  }
  return null
}

const orientationTag = 0x0112
const shortType = 3
const entryBytes = 12

/** In a TIFF file without pixels: a header, and a directory of entries. */
function orientationIn(tiff: Buffer): Orientation | null {
  const order = tiff.toString("latin1", 0, 2)
  if (tiff.length < 8 || (order !== "II" && order !== "MM")) return null
  const short = (at: number) => (order === "II" ? tiff.readUInt16LE(at) : tiff.readUInt16BE(at))
  const long = (at: number) => (order === "II" ? tiff.readUInt32LE(at) : tiff.readUInt32BE(at))
  const start = long(4)
  if (short(2) !== 42 || start + 2 > tiff.length) return null
  const entries = Array.from({ length: short(start) }, (_, i) => start + 2 + i * entryBytes)
  if (start + 2 + entries.length * entryBytes > tiff.length) return null
  const found = entries.filter((at) => short(at) === orientationTag)
  if (found.length === 0) return 1
  const [at] = found as [number]
  const value = short(at + 8)
  const isOneShort = short(at + 2) === shortType && long(at + 4) === 1
  const isPlain = found.length === 1 && isOneShort && value >= 1 && value <= 8
  return isPlain ? (value as Orientation) : null
}

/** Pixels along a side of the squares in which a picture is turned, so that rows that are read are still at hand. */
const block = 64

/** The picture as it was seen. */
export function turned(image: Image8, orientation: Orientation): Image8 {
  if (orientation === 1) return image
  const { data } = image
  const { width, height, first, right, down } = walkOf(image, orientation)
  const out = new Uint8Array(data.length)
  for (let left = 0; left < width; left += block) {
    const end = Math.min(left + block, width)
    for (let y = 0; y < height; y++) {
      let from = (first + y * down + left * right) * 3
      for (let to = (y * width + left) * 3; to < (y * width + end) * 3; to += 3) {
        out[to] = data[from]!
        out[to + 1] = data[from + 1]!
        out[to + 2] = data[from + 2]!
        from += right * 3
      }
    }
  }
  return image8(width, height, out)
}

interface Walk {
  /** Pixels along the sides of what comes out. */
  readonly width: number
  readonly height: number
  /** Where its first pixel is stored, and how many pixels further the next ones on the right and below. */
  readonly first: number
  readonly right: number
  readonly down: number
}

function walkOf({ width: w, height: h }: Image8, orientation: Orientation): Walk {
  const [upright, onSide] = [
    { width: w, height: h },
    { width: h, height: w },
  ]
  const [topRight, bottomLeft, bottomRight] = [w - 1, (h - 1) * w, h * w - 1]
  const walks: Readonly<Record<Orientation, Walk>> = {
    1: { ...upright, first: 0, right: 1, down: w },
    2: { ...upright, first: topRight, right: -1, down: w },
    3: { ...upright, first: bottomRight, right: -1, down: -w },
    4: { ...upright, first: bottomLeft, right: 1, down: -w },
    5: { ...onSide, first: 0, right: w, down: 1 },
    6: { ...onSide, first: bottomLeft, right: -w, down: 1 },
    7: { ...onSide, first: bottomRight, right: -w, down: -1 },
    8: { ...onSide, first: topRight, right: w, down: -1 },
  }
  return walks[orientation]
}
