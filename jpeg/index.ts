/**
 * Decodes undamaged JPEG files with libjpeg-turbo to the pixels that Pillow gives, about three times as fast as sharp. Where
 * the addon is not built, or the library is gone, there is no decoder.
 */
import { createRequire } from "node:module"
import { builtAddon } from "../src/native/addon.ts"
import { jpegAddon } from "./paths.ts"

interface JpegDecoder {
  /**
   * Null for anything but an undamaged gray, YCbCr or RGB picture, which is left to another decoder. For pictures with more
   * than `maxPixels`, only the size is read. Orientation and profiles are ignored.
   */
  decode(bytes: Uint8Array, maxPixels: number): DecodedJpeg | null
  /** The same in another thread, of the bytes as they are now. */
  decodeAsync(bytes: Uint8Array, maxPixels: number): Promise<DecodedJpeg | null>
  /**
   * Writes what models take of a picture, without a copy of the whole in between. False where `decode` gives null: the file
   * is read to its end, whatever is left out of the pixels. Throws TypeError where a plan's arrays do not fit together.
   */
  prepare(bytes: Uint8Array, plan: PixelPlan): boolean
  /** The same in another thread, of the bytes as they are now; nothing of the plan may change until then. */
  prepareAsync(bytes: Uint8Array, plan: PixelPlan): Promise<boolean>
}

export interface PixelPlan {
  /** Those of the decoded picture: the file's, divided by `denominator` and rounded up. */
  readonly width: number
  readonly height: number
  /** By how much the decoder makes the picture smaller. */
  readonly denominator: 1 | 2 | 4 | 8
  /** The pixels [left, right) x [top, bottom) that all targets are made of. */
  readonly left: number
  readonly right: number
  readonly top: number
  readonly bottom: number
  readonly targets: readonly PixelTarget[]
}

export interface PixelTarget {
  readonly columns: WeightedInputs
  readonly rows: WeightedInputs
  /** [3, 256]: what stands for a byte, by channel. */
  readonly values: Float32Array
  /** [3, rows, columns] */
  readonly out: Float32Array
}

/** Output o is made of `counts[o]` inputs from `starts[o]` on; weights in units of 2^-22 from `weights[o * stride]` on. */
interface WeightedInputs {
  readonly starts: Int32Array
  readonly counts: Int32Array
  readonly weights: Int32Array
  readonly stride: number
}

export interface DecodedJpeg {
  readonly width: number
  readonly height: number
  /** RGB, rows from the top; null where there are more pixels than allowed. */
  readonly data: Uint8Array | null
}

export const jpegDecoder: JpegDecoder | null = load()

function load(): JpegDecoder | null {
  try {
    const built = builtAddon(jpegAddon)
    const decoder: Partial<JpegDecoder> | null = built && createRequire(import.meta.url)(built.file)
    // One that was built from older sources lacks a function.
    return decoder?.prepare ? (decoder as JpegDecoder) : null
  } catch {
    return null
  }
}

/** Whether the file begins as every JPEG does. */
export function isJpeg(bytes: Uint8Array): boolean {
  return bytes[0] === 0xff && bytes[1] === 0xd8
}
