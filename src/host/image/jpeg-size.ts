/**
 * The size of a plain JPEG by its header, read here: a decoder takes longer to be asked than a shard's sample to be read.
 * Only where nothing in the header could make libjpeg refuse it or warn; everything else is for the decoder.
 */

const [tables, quantization, restart, scan, comment, jfif] = [0xc4, 0xdb, 0xdd, 0xda, 0xfe, 0xe0] as const

/** Baseline, extended and progressive frames. */
const frames = [0xc0, 0xc1, 0xc2]

/** Larger sides are refused by libjpeg. */
const largestSide = 65_500

interface Size {
  readonly width: number
  readonly height: number
}

/** In pixels, as stored; null where the decoder has to be asked. */
export function plainJpegSize(jpeg: Uint8Array): Size | null {
  const bytes = Buffer.from(jpeg.buffer, jpeg.byteOffset, jpeg.byteLength)
  let frame: Buffer | null = null
  for (let at = 2; at + 4 <= bytes.length; ) {
    const [mark, marker, end] = [bytes[at]!, bytes[at + 1]!, at + 2 + bytes.readUInt16BE(at + 2)]
    const segment = bytes.subarray(at + 4, end)
    // Pixels come after the scan's header.
    if (mark !== 0xff || end < at + 4 || end + 2 > bytes.length) return null
    if (marker === scan) return frame && isScan(segment, frame) ? sizeOf(frame) : null
    if (frames.includes(marker)) {
      if (frame || !isFrame(segment)) return null
      frame = segment
    } else if (!isPlain(marker, segment)) return null
    at = end
  }
  return null
}

function sizeOf(frame: Buffer): Size {
  return { width: frame.readUInt16BE(3), height: frame.readUInt16BE(1) }
}

/** Precision, height, width, count, and for each component its name, factors of sampling and quantization table. */
function isFrame(frame: Buffer): boolean {
  if (frame.length < 6) return false
  const { width, height } = sizeOf(frame)
  const count = frame[5]!
  if (frame[0] !== 8 || ![1, 3].includes(count) || frame.length !== 6 + 3 * count) return false
  const isSampled = Array.from({ length: count }, (_, i) => frame[7 + 3 * i]!).every((factors) =>
    [factors >> 4, factors & 15].every((factor) => factor >= 1 && factor <= 4),
  )
  return isSampled && new Set(namesIn(frame)).size === count && [width, height].every(isSide)
}

function isSide(side: number): boolean {
  return side >= 1 && side <= largestSide
}

function namesIn(frame: Buffer): number[] {
  return Array.from({ length: frame[5]! }, (_, i) => frame[6 + 3 * i]!)
}

/** Count, for each component its name and tables, and three bytes of which coefficients. */
function isScan(scan: Buffer, frame: Buffer): boolean {
  const count = scan[0] ?? 0
  if (count < 1 || count > frame[5]! || scan.length !== 4 + 2 * count) return false
  const components = Array.from({ length: count }, (_, i) => [scan[1 + 2 * i]!, scan[2 + 2 * i]!] as const)
  const names = new Set(components.map(([name]) => name))
  return (
    names.size === count && components.every(([name, table]) => namesIn(frame).includes(name) && (table & 0xcc) === 0)
  )
}

function isPlain(marker: number, segment: Buffer): boolean {
  if (marker === comment) return true
  if (marker === restart) return segment.length === 2
  if (marker === quantization) return isQuantization(segment)
  if (marker === tables) return isHuffman(segment)
  return marker === jfif && segment.length === 14 && segment.toString("latin1", 0, 6) === "JFIF\0\x01"
}

/** Tables of 64 numbers with one or two bytes each. */
function isQuantization(segment: Buffer): boolean {
  let at = 0
  while (at < segment.length) {
    if ((segment[at]! & 0xec) !== 0) return false
    at += 1 + 64 * (1 + (segment[at]! >> 4))
  }
  return at === segment.length
}

/** Tables of 16 counts and as many values as they add up to. */
function isHuffman(segment: Buffer): boolean {
  let at = 0
  while (at < segment.length) {
    if ((segment[at]! & 0xec) !== 0) return false
    const values = segment.subarray(at + 1, at + 17).reduce((sum, count) => sum + count, 0)
    if (values > 256) return false
    at += 17 + values
  }
  return at === segment.length
}
