/**
 * JPEG files to the pixels that libjpeg-turbo and Pillow give, by libjpeg in WebAssembly (mozjpeg's decoder, of the package
 * @jsquash/jpeg): no colour profile is applied. Where colours have half the rows and all columns (4:4:0), it rounds otherwise, and
 * pixels differ by up to 2.
 */
import createModule from "@jsquash/jpeg/codec/dec/mozjpeg_dec.js"
import { UserError } from "../../core/errors.ts"
import { type Image8, type Rgba, withoutAlpha } from "../../core/image/pixels.ts"
import type { Orientation } from "../protocol.ts"

/** What is used of what Emscripten makes. */
interface Decoder {
  decode(bytes: Uint8Array, turns: boolean): Rgba | null
}

interface DecoderOptions {
  readonly locateFile?: (name: string) => string
  readonly printErr: (line: string) => void
}

const createDecoder = createModule as unknown as (options: DecoderOptions) => Promise<Decoder>

export function isJpeg(bytes: Uint8Array): boolean {
  return bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff
}

/** A decoder of more is not kept after a call, because WebAssembly's memory cannot shrink: it takes 8 bytes for each. */
const keptPixels = 8e6

export class JpegDecoder {
  private decoder: Promise<Decoder> | null = null
  private warnings: string[] = []
  private isGrown = false

  /** @param url of the .wasm; null: beside the worker */
  constructor(private readonly url: string | null) {}

  /** Null for what this decoder does not read: CMYK, and much of what is damaged. Throws UserError for a file that is cut off. */
  async decode(bytes: Uint8Array, name: string, orientation: Orientation = "ignore"): Promise<Image8 | null> {
    const decoder = await this.ready()
    this.warnings = []
    const decoded = this.attempt(decoder, bytes, orientation === "apply")
    if (this.warnings.some((line) => /premature end/i.test(line))) {
      throw new UserError(`${name} is cut off`, "get it again, or leave it out")
    }
    if (!decoded) this.decoder = null
    else if (decoded.width * decoded.height > keptPixels) this.isGrown = true
    return decoded && withoutAlpha(decoded)
  }

  /** Frees what large pictures took; the next one makes a new decoder. */
  release(): void {
    if (this.isGrown) this.decoder = null
    this.isGrown = false
  }

  /** libjpeg ends its program where it cannot go on. */
  private attempt(decoder: Decoder, bytes: Uint8Array, turns: boolean): Rgba | null {
    try {
      return decoder.decode(bytes, turns)
    } catch {
      return null
    }
  }

  private ready(): Promise<Decoder> {
    const { url } = this
    this.decoder ??= createDecoder({
      ...(url !== null && { locateFile: () => url }),
      printErr: (line) => this.warnings.push(line),
    })
    return this.decoder
  }
}
