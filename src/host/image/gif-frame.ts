/**
 * The first frame of a GIF as Pillow reads it (PIL/GifImagePlugin.py): transparent pixels have their colour in the palette;
 * so has what the frame leaves free of the screen, which is filled with the transparent colour, or else with the first one. A
 * frame that is larger than the screen enlarges it. libvips makes both black, so it is given the frame alone, without
 * transparency.
 */
import { type Image8, image8 } from "../../core/image/pixels.ts"

interface GifFrame {
  /** A GIF of this frame alone, opaque and as large as itself. */
  readonly file: Uint8Array
  /** The whole picture's. */
  readonly width: number
  readonly height: number
  readonly left: number
  readonly top: number
  /** RGB of what the frame leaves free. */
  readonly background: readonly number[]
  /** Frames of the whole file. */
  readonly frames: number
}

/** Null where the file is damaged before the frame's pixels, or has none. */
export function firstFrame(bytes: Uint8Array): GifFrame | null {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (file.length < screenBytes) return null
  const globalPalette = paletteAt(file, screenBytes, file[10]!)
  const first = nextFrame(file, screenBytes + globalPalette.length)
  if (!first) return null
  const [left, top, width, height] = [0, 2, 4, 6].map((at) => file.readUInt16LE(first.at + at)) as Quad
  if (width === 0 || height === 0) return null
  const colours = coloursOf([first.palette, globalPalette])
  const filling = 3 * (first.transparent ?? 0)
  return {
    file: frameFile(file, first, colours),
    ...{ left, top, background: [...colours.subarray(filling, filling + 3)] },
    width: Math.max(file.readUInt16LE(6), left + width),
    height: Math.max(file.readUInt16LE(8), top + height),
    frames: countFrames(file, first),
  }
}

/** The whole picture of its frame's pixels. */
export function onScreen(pixels: Image8, { width, height, left, top, background }: GifFrame): Image8 {
  if (pixels.width === width && pixels.height === height) return pixels
  const data = Buffer.alloc(width * height * 3, Buffer.from(background))
  const row = pixels.width * 3
  for (let y = 0; y < pixels.height; y++) {
    data.set(pixels.data.subarray(y * row, (y + 1) * row), ((top + y) * width + left) * 3)
  }
  return image8(width, height, data)
}

type Quad = [number, number, number, number]

/** Signature and logical screen. */
const screenBytes = 13

/** Position and size of a frame, and a byte of flags. */
const frameBytes = 9

const hasPalette = 0x80
const isInterlaced = 0x40

interface Frame {
  /** Where its position and size begin. */
  readonly at: number
  readonly palette: Buffer
  readonly transparent: number | null
  /** Its pixels, from the size of their codes on. */
  readonly start: number
  /** After its last block; the file's end where that is missing. */
  readonly end: number
}

/** The next frame from `at` on; bytes that begin nothing are passed over. */
function nextFrame(file: Buffer, from: number): Frame | null {
  let transparent: number | null = null
  for (let at = from; at < file.length && file[at] !== 0x3b; ) {
    if (file[at] === 0x2c) return frameAt(file, at + 1, transparent)
    if (file[at] !== 0x21) at++
    else {
      if (file[at + 1] === 0xf9 && file[at + 3]! & 1) transparent = file[at + 6] ?? null
      at = endOfBlocks(file, at + 2)
    }
  }
  return null
}

function frameAt(file: Buffer, at: number, transparent: number | null): Frame | null {
  const palette = paletteAt(file, at + frameBytes, file[at + frameBytes - 1] ?? 0)
  const start = at + frameBytes + palette.length
  return start < file.length ? { at, palette, transparent, start, end: endOfBlocks(file, start + 1) } : null
}

/** The position after blocks that each begin with their length, of which the last has none. */
function endOfBlocks(file: Buffer, from: number): number {
  let at = from
  while (at < file.length && file[at] !== 0) at += file[at]! + 1
  return Math.min(at + 1, file.length)
}

function paletteAt(file: Buffer, at: number, flags: number): Buffer {
  return flags & hasPalette ? file.subarray(at, at + 3 * 2 ** ((flags & 7) + 1)) : Buffer.alloc(0)
}

function countFrames(file: Buffer, first: Frame): number {
  let count = 1
  for (let frame = nextFrame(file, first.end); frame; frame = nextFrame(file, frame.end)) count++
  return count
}

/** 256 colours: those of the first palette that is not just the gray levels; else these. */
function coloursOf(palettes: readonly Buffer[]): Buffer {
  const gray = Buffer.from(Array.from({ length: 768 }, (_, i) => Math.floor(i / 3)))
  const palette = palettes.find((colours) => !gray.subarray(0, colours.length).equals(colours))
  return palette ? Buffer.concat([palette, Buffer.alloc(768 - palette.length)]) : gray
}

function frameFile(file: Buffer, { at, start, end }: Frame, colours: Buffer): Buffer {
  const size = file.subarray(at + 4, at + 8)
  const flags = file[at + 8]! & isInterlaced
  return Buffer.concat([
    ...[Buffer.from("GIF89a"), size, Buffer.of(hasPalette | 7, 0, 0), colours],
    ...[Buffer.of(0x2c, 0, 0, 0, 0), size, Buffer.of(flags), file.subarray(start, end), Buffer.of(0x3b)],
  ])
}
