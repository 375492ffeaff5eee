/**
 * Width and height as a picture's file states them at its beginning, so that one which is too large is refused before its pixels
 * take memory: JPEG, PNG, GIF, WebP and AVIF.
 */

export interface Size {
  readonly width: number
  readonly height: number
}

/** Null where the file does not say it in a known way. */
export function statedSize(bytes: Uint8Array): Size | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  try {
    if (view.getUint16(0) === 0xffd8) return jpegSize(view)
    if (textAt(view, 1, 3) === "PNG") return { width: view.getUint32(16), height: view.getUint32(20) }
    if (textAt(view, 0, 3) === "GIF") return { width: view.getUint16(6, true), height: view.getUint16(8, true) }
    if (textAt(view, 8, 4) === "WEBP") return webpSize(view)
    return textAt(view, 4, 4) === "ftyp" ? avifSize(view) : null
  } catch (error) {
    // It ends before it says it.
    if (error instanceof RangeError) return null
    throw error
  }
}

function textAt(view: DataView, start: number, length: number): string {
  return String.fromCharCode(...Array.from({ length }, (_, i) => view.getUint8(start + i)))
}

/** In the first segment that begins a frame: of the markers C0 to CF all but tables of codes (C4, CC) and JPG (C8). */
function jpegSize(view: DataView): Size | null {
  for (let at = 2; view.getUint8(at) === 0xff; ) {
    const marker = view.getUint8(at + 1)
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)
    if (isFrame) return { width: view.getUint16(at + 7), height: view.getUint16(at + 5) }
    // Bytes of FF may fill the space before a marker.
    at += marker === 0xff ? 1 : 2 + view.getUint16(at + 2)
  }
  return null
}

function webpSize(view: DataView): Size | null {
  switch (textAt(view, 12, 4)) {
    case "VP8 ":
      return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff }
    case "VP8L": {
      const both = view.getUint32(21, true)
      return { width: (both & 0x3fff) + 1, height: ((both >>> 14) & 0x3fff) + 1 }
    }
    case "VP8X":
      return { width: 1 + (view.getUint32(24, true) & 0xffffff), height: 1 + (view.getUint32(26, true) >>> 8) }
    default:
      return null
  }
}

/** The largest of the items' sizes: the picture's own, where parts and previews have others. */
function avifSize(view: DataView): Size | null {
  let largest: Size | null = null
  const end = Math.min(view.byteLength - 16, 2 ** 16)
  for (let at = 4; at < end; at++) {
    // "ispe"
    if (view.getUint32(at) !== 0x69737065) continue
    const size = { width: view.getUint32(at + 8), height: view.getUint32(at + 12) }
    if (!largest || size.width * size.height > largest.width * largest.height) largest = size
  }
  return largest
}
