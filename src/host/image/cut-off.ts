/**
 * JPEG and PNG files that were cut off, completed so that decoders read what is there as Pillow does under
 * `ImageFile.LOAD_TRUNCATED_IMAGES`: a JPEG gets the end marker, at which libjpeg fills the rest (gray, or what the scans of a
 * progressive file had said by then); rows that a PNG lacks are zero. One difference: a progressive JPEG that is cut within
 * the tables between two scans is black with Pillow, and has its earlier scans here.
 */
import { constants, crc32, deflateSync, inflateSync } from "node:zlib"
import { isJpeg } from "../../../jpeg/index.ts"
import { endOfImage, segmentsOf, startOfScan } from "./jpeg-segments.ts"

/**
 * The file with an end added; null where it has one, is neither JPEG nor PNG, was cut off before any pixel, or promises more
 * pixels than a complete file of its size could have.
 *
 * @param maxPixels larger pictures are not completed
 */
export function completed(bytes: Uint8Array, maxPixels: number): Uint8Array | null {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const most = Math.min(maxPixels, mostPixels(file))
  if (isJpeg(file)) return completedJpeg(file, most)
  return isPng(file) ? completedPng(file, most) : null
}

/** Deflate makes one byte of 1032 equal ones, and libjpeg's shortest codes are about as short. */
const pixelsPerByte = 1032
const freePixels = 2 ** 20

function mostPixels({ length }: Uint8Array): number {
  return length * pixelsPerByte + freePixels
}

/** Whether a JPEG's head promises more pixels than a file of its size can have: libjpeg would make up the others. */
export function promisesTooMuch(jpeg: Uint8Array): boolean {
  const bytes = Buffer.from(jpeg.buffer, jpeg.byteOffset, jpeg.byteLength)
  for (const { marker, at, end } of segmentsOf(bytes)) {
    if (marker === startOfScan || !(end <= bytes.length)) return false
    // With Huffman's codes; arithmetic ones may be as short as they like.
    if (marker >= 0xc0 && marker <= 0xc3 && end - at >= 8)
      return bytes.readUInt16BE(at + 3) * bytes.readUInt16BE(at + 5) > mostPixels(bytes)
  }
  return false
}

// ------------------------------------------------------------------------------------------------------- JPEG

function completedJpeg(bytes: Buffer, most: number): Uint8Array | null {
  let hasScan = false
  for (const { marker, start, at, end } of segmentsOf(bytes)) {
    if (marker === endOfImage) return null
    // Neither the length nor the segment may be cut off.
    if (!(end <= bytes.length)) return hasScan ? withEnd(bytes.subarray(0, start)) : null
    const isFrame = isStartOfFrame(marker) && end - at >= 8
    if (isFrame && bytes.readUInt16BE(at + 3) * bytes.readUInt16BE(at + 5) > most) return null
    hasScan ||= marker === startOfScan
  }
  return hasScan ? withEnd(bytes) : null
}

/** A frame of any coding. The numbers left out are tables (0xc4, 0xcc) or reserved (0xc8). */
function isStartOfFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)
}

function withEnd(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([bytes, Uint8Array.of(0xff, endOfImage)])
}

// -------------------------------------------------------------------------------------------------------- PNG

const signature = Buffer.from("89504e470d0a1a0a", "hex")

function isPng(bytes: Uint8Array): boolean {
  return bytes.length > 33 && signature.equals(bytes.subarray(0, 8))
}

function completedPng(file: Buffer, maxPixels: number): Uint8Array | null {
  const parts: Buffer[] = []
  let head = 0
  for (let at = 8; at + 8 <= file.length; ) {
    const size = file.readUInt32BE(at)
    const type = file.toString("latin1", at + 4, at + 8)
    if (type === "IEND") return null
    if (type === "IDAT") {
      if (parts.length === 0) head = at
      parts.push(file.subarray(at + 8, at + 8 + size))
    }
    at += 12 + size
  }
  const passes = passesOf(file, maxPixels)
  if (parts.length === 0 || !passes) return null
  const rows = filled(passes, Buffer.concat(parts))
  return rows && Buffer.concat([file.subarray(0, head), chunk("IDAT", deflateSync(rows, { level: 1 })), chunk("IEND")])
}

/** One of the up to seven pictures of an interlaced file. */
interface Pass {
  readonly rows: number
  /** Includes the byte that names the filter. */
  readonly rowBytes: number
}

const channelsOf: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }

/** Left, top, and the steps to the right and down, of a file that is not interlaced. */
const singlePass = [[0, 0, 1, 1]] as const
const adam7 = [
  ...([
    [0, 0, 8, 8],
    [4, 0, 8, 8],
    [0, 4, 4, 8],
    [2, 0, 4, 4],
  ] as const),
  ...([
    [0, 2, 2, 4],
    [1, 0, 2, 2],
    [0, 1, 1, 2],
  ] as const),
] as const

/** The passes that the header, the first chunk, describes; null where it is damaged, or the picture is too large. */
function passesOf(file: Buffer, maxPixels: number): Pass[] | null {
  const [width, height] = [file.readUInt32BE(16), file.readUInt32BE(20)]
  const channels = channelsOf[file[25]!]
  if (!channels || width * height > maxPixels) return null
  const bits = channels * file[24]!
  return (file[28] === 1 ? adam7 : singlePass).map(([left, top, right, down]) => ({
    rows: Math.max(0, Math.ceil((height - top) / down)),
    rowBytes: 1 + Math.ceil((Math.max(0, Math.ceil((width - left) / right)) * bits) / 8),
  }))
}

/** All rows, where incomplete ones are zero; null where the data are damaged. */
function filled(passes: readonly Pass[], packed: Buffer): Buffer | null {
  // A pass without columns has no rows either.
  const real = passes.filter(({ rowBytes }) => rowBytes > 1)
  const all = Buffer.alloc(real.reduce((sum, { rows, rowBytes }) => sum + rows * rowBytes, 0))
  const found = inflated(packed, all.length)
  if (!found) return null
  let end = 0
  for (const { rows, rowBytes } of real) {
    const present = Math.min(rows, Math.floor((found.length - end) / rowBytes))
    end += present * rowBytes
    if (present < rows) break
  }
  found.copy(all, 0, 0, end)
  return all
}

function inflated(packed: Buffer, most: number): Buffer | null {
  if (packed.length === 0) return packed
  try {
    return inflateSync(packed, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: Math.max(most, 1) })
  } catch {
    return null
  }
}

function chunk(type: string, data: Buffer = Buffer.alloc(0)): Buffer {
  const body = Buffer.concat([Buffer.from(type), data])
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(data.length)
  check.writeUInt32BE(crc32(body))
  return Buffer.concat([length, body, check])
}
