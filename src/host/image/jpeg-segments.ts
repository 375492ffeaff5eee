/** The segments of a JPEG file, as libjpeg finds them. */

export const startOfScan = 0xda
export const endOfImage = 0xd9

interface Segment {
  readonly marker: number
  /** Where its marker begins, and what comes after it. */
  readonly start: number
  readonly at: number
  /** One past its last byte, which may be beyond the file's; not a number where its length is cut off. */
  readonly end: number
}

/** Goes from marker to marker, as libjpeg's `next_marker`, which skips everything else; also beyond the end of the image. */
export function* segmentsOf(bytes: Buffer): Generator<Segment> {
  for (let at = 2; ; ) {
    const start = bytes.indexOf(0xff, at)
    let code = start + 1
    while (bytes[code] === 0xff) code++
    if (start < 0 || code >= bytes.length) return
    const marker = bytes[code]!
    at = code + 1
    // Zero stands for a byte 255 of the pixels; the others have no length: TEM, RST0 to RST7 and SOI.
    if (marker <= 1 || (marker >= 0xd0 && marker <= 0xd8)) continue
    const end = marker === endOfImage ? at : at + 256 * bytes[at]! + bytes[at + 1]!
    yield { marker, start, at, end }
    if (!(end <= bytes.length)) return
    at = end
  }
}

/** Programs write about ten. It is the limit of jpeg/src/decode.cc too. */
export const mostScans = 100

/** Whether it has more scans than any picture needs: each is a pass over all pixels, and a few bytes of the file. */
export function hasManyScans(jpeg: Uint8Array): boolean {
  let scans = 0
  for (const { marker } of segmentsOf(Buffer.from(jpeg.buffer, jpeg.byteOffset, jpeg.byteLength))) {
    if (marker === endOfImage) return false
    if (marker === startOfScan && ++scans > mostScans) return true
  }
  return false
}
