/** Where the metadata of a picture's file are: EXIF and IPTC data, XMP, and the turns that HEIF's properties say. */
import { inflateSync } from "node:zlib"
import { boxesBelow } from "../heif/boxes.ts"
import { segmentsOf, startOfScan } from "../jpeg-segments.ts"

/** Cameras write some 10 to 60 kB, a preview among them. */
const mostBytes = 2 ** 20

/**
 * EXIF data: a TIFF file without pixels, or the head of a JPEG file, which has IPTC data too. Null where there are none, or none
 * that could be found.
 */
export function exifBlock(bytes: Uint8Array, format: string | null): Buffer | null {
  const file = bufferOf(bytes)
  if (format === "jpg") return jpegHead(file)
  if (format === "tif") return file
  const block = blockOf(file, format)
  return block && block.length <= mostBytes ? withoutName(block) : null
}

/** The same memory. */
function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength)
}

function blockOf(file: Buffer, format: string | null): Buffer | null {
  if (format === "png") return pngChunk(file, "eXIf")
  if (format === "webp") return webpChunk(file, "EXIF")
  return format === "heic" || format === "avif" ? exifItem(file) : null
}

/** The part of the file in which an XMP packet may be. In a JPEG file, the pictures that may follow have packets of their own. */
export function xmpPart(bytes: Uint8Array, format: string | null): Buffer | null {
  const file = bufferOf(bytes)
  if (format === "jpg") return jpegHead(file)
  if (format === "heic" || format === "avif") return itemOf(file, "mime")
  if (format === "png") return pngXmp(file)
  return format === null || format === "gif" ? null : file
}

/** Segments may come in any number, and pixels need not come at all. */
const mostHeadBytes = 8 * 2 ** 20

function jpegHead(file: Buffer): Buffer {
  const head = file.subarray(0, mostHeadBytes)
  for (const { marker, start } of segmentsOf(head)) {
    if (marker === startOfScan) return head.subarray(0, start)
  }
  return head
}

/** Some programs write the name that JPEG files have before the block. */
function withoutName(block: Buffer): Buffer {
  return block.toString("latin1", 0, 6) === "Exif\0\0" ? block.subarray(6) : block
}

function pngChunk(file: Buffer, name: string): Buffer | null {
  for (const chunk of pngChunks(file)) if (chunk.name === name) return chunk.content
  return null
}

function* pngChunks(file: Buffer): Generator<{ readonly name: string; readonly content: Buffer }> {
  for (let at = 8; at + 8 <= file.length; ) {
    const end = at + 8 + file.readUInt32BE(at)
    yield { name: file.toString("latin1", at + 4, at + 8), content: file.subarray(at + 8, end) }
    at = end + 4
  }
}

const xmpKeyword = "XML:com.adobe.xmp\0"

/** In an `iTXt` chunk, as the standard has it, or in `zTXt`, as libpng's users write it. */
function pngXmp(file: Buffer): Buffer | null {
  for (const { name, content } of pngChunks(file)) {
    if (content.toString("latin1", 0, xmpKeyword.length) !== xmpKeyword) continue
    const rest = content.subarray(xmpKeyword.length)
    if (name === "zTXt") return inflated(rest.subarray(1))
    // A flag, the method of compression, and two texts that end with NUL come before it.
    if (name !== "iTXt") continue
    const text = rest.subarray(rest.indexOf(0, rest.indexOf(0, 2) + 1) + 1)
    return rest[0] === 1 ? inflated(text) : text
  }
  return null
}

function inflated(packed: Buffer): Buffer | null {
  try {
    return inflateSync(packed, { maxOutputLength: mostBytes })
  } catch {
    return null
  }
}

function webpChunk(file: Buffer, name: string): Buffer | null {
  for (let at = 12; at + 8 <= file.length; ) {
    const length = file.readUInt32LE(at + 4)
    if (file.toString("latin1", at, at + 4) === name) return file.subarray(at + 8, at + 8 + length)
    at += 8 + length + (length & 1)
  }
  return null
}

/** After four bytes that say how many more come before it. */
function exifItem(file: Buffer): Buffer | null {
  const item = itemOf(file, "Exif")
  return item && item.length > 4 ? item.subarray(4 + item.readUInt32BE(0)) : null
}

function itemOf(file: Buffer, type: string): Buffer | null {
  const id = idOfItem(file, type)
  return id === null ? null : itemData(file, id)
}

function idOfItem(file: Buffer, type: string): number | null {
  for (const { start, end } of boxesBelow(file, ["meta", "iinf"])) {
    const idBytes = file[start] === 2 ? 2 : 4
    if (start + 10 + idBytes > end) continue
    const at = start + 4
    if (file.toString("latin1", at + idBytes + 2, at + idBytes + 6) === type) return file.readUIntBE(at, idBytes)
  }
  return null
}

/** What reads numbers of a box, one after the other; NaN after its end. */
class Numbers {
  constructor(
    private readonly box: Buffer,
    private at = 0,
  ) {}

  next(bytes: number): number {
    const at = this.at
    this.at += bytes
    if (bytes === 0) return 0
    if (at + bytes > this.box.length) return Number.NaN
    return bytes === 8 ? Number(this.box.readBigUInt64BE(at)) : this.box.readUIntBE(at, bytes)
  }

  get isAtEnd(): boolean {
    return this.at >= this.box.length
  }
}

/** The bytes of an item that lies in one piece, in the file or in the box `idat`. */
function itemData(file: Buffer, id: number): Buffer | null {
  const [box] = [...boxesBelow(file, ["meta"])].filter(({ type }) => type === "iloc")
  if (!box) return null
  const version = file[box.start]!
  const numbers = new Numbers(file.subarray(box.start + 4, box.end))
  const [sizes, more] = [numbers.next(1), numbers.next(1)]
  const [offsetBytes, lengthBytes, baseBytes] = [sizes >> 4, sizes & 15, more >> 4]
  const indexBytes = version > 0 ? more & 15 : 0
  if (![offsetBytes, lengthBytes, baseBytes, indexBytes].every((bytes) => [0, 4, 8].includes(bytes))) return null
  for (let left = numbers.next(version < 2 ? 2 : 4); left > 0 && !numbers.isAtEnd; left--) {
    const found = numbers.next(version < 2 ? 2 : 4)
    const method = version > 0 ? numbers.next(2) & 15 : 0
    numbers.next(2)
    const base = numbers.next(baseBytes)
    const extents = numbers.next(2)
    if (found === id) {
      numbers.next(indexBytes)
      const start = base + numbers.next(offsetBytes)
      const place = method === 1 ? startOfIdat(file) : 0
      return extents === 1 && start >= 0
        ? file.subarray(place + start, place + start + numbers.next(lengthBytes))
        : null
    }
    for (let i = 0; i < extents && !numbers.isAtEnd; i++) {
      for (const bytes of [indexBytes, offsetBytes, lengthBytes]) numbers.next(bytes)
    }
  }
  return null
}

function startOfIdat(file: Buffer): number {
  const [idat] = [...boxesBelow(file, ["meta"])].filter(({ type }) => type === "idat")
  return idat?.start ?? Number.NaN
}

/** EXIF's orientation for a quarter turn against the clock, so many times, and then no mirror, up and down, left and right. */
const orientations = [
  [1, 4, 2],
  [8, 5, 7],
  [3, 2, 4],
  [6, 7, 5],
] as const

/** The orientation that the properties of an AVIF or HEIC file say, as EXIF's number. */
export function propertyOrientation(bytes: Uint8Array): number {
  const file = bufferOf(bytes)
  let [turns, mirror] = [0, 0]
  for (const { type, start, end } of boxesBelow(file, ["meta", "iprp", "ipco"])) {
    if (end <= start) continue
    if (type === "irot") turns = file[start]! & 3
    if (type === "imir") mirror = 1 + (file[start]! & 1)
  }
  return orientations[turns]![mirror]!
}
