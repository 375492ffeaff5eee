/**
 * HEIC and HEIF pictures (HEVC in boxes: ISO/IEC 23008-12) to the RGB bytes that pillow-heif gives after `convert("RGB")`, which are
 * libheif's: cropped, turned and mirrored as the file's properties say (`clap`, `irot`, `imir`); colours of half the size are repeated;
 * 10 and 12 bits lose their lower ones; alpha is dropped. EXIF's orientation turns nothing: the format's standard gives it no
 * meaning, cameras write it beside the properties, and who follows both turns twice. Measured: 0.6 to 0.8 s for 12 million pixels.
 */
import { UserError } from "../../../core/errors.ts"
import { type Image8, image8 } from "../../../core/image/pixels.ts"
import { requireAllowedSize } from "../pixel-limit.ts"
import { HeifError, isExpected, type Libheif, withLibheif } from "./libheif.ts"

export interface HeifOptions {
  readonly name: string
  readonly maxPixels: number
  /** Whether the picture of a sequence is taken, or the sequence is refused. */
  readonly animated?: "first" | "refuse"
}

interface Size {
  readonly width: number
  readonly height: number
}

/** In this thread, which does nothing else meanwhile. Throws UserError that begins with the name. */
export function decodeHeifHere(bytes: Uint8Array, options: HeifOptions): Promise<Image8> {
  const { name, maxPixels, animated } = options
  return withFile(bytes, name, maxPixels, (file) => {
    if (animated === "refuse" && file.isSequence) throw new UserError(`${name} is an animation`)
    requireAllowedSize(name, file.width, file.height, maxPixels)
    return file.decode()
  })
}

/** The size that decoding gives, by the file's boxes. Throws UserError that begins with the name. */
export function heifSize(bytes: Uint8Array, name: string): Promise<Size> {
  return withFile(bytes, name, Number.MAX_SAFE_INTEGER, ({ width, height }) => ({ width, height }))
}

async function withFile<T>(
  bytes: Uint8Array,
  name: string,
  maxPixels: number,
  work: (file: HeifFile) => T,
): Promise<T> {
  try {
    return await withLibheif((heif) => {
      const file = new HeifFile(heif, bytes)
      try {
        file.open(maxPixels)
        const result = work(file)
        file.free()
        return result
      } catch (error) {
        if (isExpected(error)) file.free()
        throw error
      }
    })
  } catch (error) {
    throw explained(name, error)
  }
}

// From libheif's headers.
const rgb = 1
const interleaved = 10
const interleavedRgb = 10
const strictDecodingAt = 21
const mostPixelsAt = 8
const mostMemoryAt = 64
/** Larger than what can be asked for. */
const allMemory = 2 ** 31
const unsupported: ReadonlySet<number> = new Set([3, 4, 11])

class HeifFile {
  width = 0
  height = 0
  isSequence = false
  private readonly file: number
  /** Three numbers of an error, and one that a function returns. */
  private readonly scratch: number
  private readonly context: number
  private handle = 0
  private image = 0

  constructor(
    private readonly heif: Libheif,
    private readonly bytes: Uint8Array,
  ) {
    this.file = heif._malloc(bytes.length)
    this.scratch = heif._malloc(16)
    this.context = heif._heif_context_alloc()
    if ([this.file, this.scratch, this.context].includes(0)) throw new RangeError("there is no memory in libheif")
    heif.HEAPU8.set(bytes, this.file)
  }

  /** Reads the boxes, and takes no memory for pixels. */
  open(maxPixels: number): void {
    const { heif, scratch, context } = this
    const limits = heif._heif_context_get_security_limits(context)
    // Tiles, crops and what the codec says may be a little larger than the picture.
    writeLong(heif, limits + mostPixelsAt, Math.floor(Math.min(2 * maxPixels + 2 ** 20, 2 ** 30)))
    writeLong(heif, limits + mostMemoryAt, allMemory)
    heif._heif_context_read_from_memory_without_copy(scratch, context, this.file, this.bytes.length, 0)
    this.check()
    heif._heif_context_get_primary_image_handle(scratch, context, scratch + 12)
    this.check()
    this.handle = this.returned()
    this.width = heif._heif_image_handle_get_width(this.handle)
    this.height = heif._heif_image_handle_get_height(this.handle)
    this.isSequence = heif._heif_context_has_sequence(context) !== 0
  }

  decode(): Image8 {
    const { heif, scratch } = this
    const options = heif._heif_decoding_options_alloc()
    heif.HEAPU8[options + strictDecodingAt] = 1
    heif._heif_decode_image(scratch, this.handle, scratch + 12, rgb, interleavedRgb, options)
    heif._heif_decoding_options_free(options)
    this.check()
    this.image = this.returned()
    const width = heif._heif_image_get_width(this.image, interleaved)
    const height = heif._heif_image_get_height(this.image, interleaved)
    const plane = heif._heif_image_get_plane_readonly2(this.image, interleaved, scratch + 12)
    if (width !== this.width || height !== this.height || plane === 0)
      throw new HeifError(0, `${width} x ${height} pixels instead of ${this.width} x ${this.height}`)
    return image8(width, height, rowsOf(heif.HEAPU8, plane, this.returned(), 3 * width, height))
  }

  private returned(): number {
    return this.heif.HEAPU32[(this.scratch + 12) >> 2]!
  }

  private check(): void {
    const at = this.scratch >> 2
    const [code, , text] = this.heif.HEAPU32.subarray(at, at + 3) as unknown as [number, number, number]
    if (code === 0) return
    const end = this.heif.HEAPU8.indexOf(0, text)
    throw new HeifError(code, Buffer.from(this.heif.HEAPU8.subarray(text, end)).toString("latin1"))
  }

  free(): void {
    const { heif } = this
    if (this.image !== 0) heif._heif_image_release(this.image)
    if (this.handle !== 0) heif._heif_image_handle_release(this.handle)
    heif._heif_context_free(this.context)
    heif._free(this.scratch)
    heif._free(this.file)
  }
}

function writeLong({ HEAPU8 }: Libheif, at: number, value: number): void {
  new DataView(HEAPU8.buffer, at, 8).setBigUint64(0, BigInt(value), true)
}

/** Without the bytes that fill each row up. */
function rowsOf(memory: Uint8Array, plane: number, stride: number, rowBytes: number, rows: number): Uint8Array {
  const data = new Uint8Array(rowBytes * rows)
  for (let y = 0; y < rows; y++) {
    const from = plane + y * stride
    data.set(memory.subarray(from, from + rowBytes), y * rowBytes)
  }
  return data
}

function explained(name: string, error: unknown): UserError {
  if (error instanceof UserError) return error
  const cause = { cause: error }
  if (error instanceof HeifError && unsupported.has(error.code)) {
    return new UserError(`${name} is a HEIF picture of a kind that cannot be read`, "HEVC is; save it as JPEG", cause)
  }
  return new UserError(`${name} is damaged or cut off`, "get it again, or leave it out", cause)
}
