/**
 * Decodes picture files in Node to the RGB bytes that Pillow gives: the profile is not applied, alpha is dropped and not
 * blended, 16 bits lose their lower 8; TIFF is turned by its orientation, others are not; colours of half the size are interpolated
 * (in AVIF: `avif/chroma.ts`). Undamaged JPEG files go through the addon in `jpeg/` where it is built, everything else
 * through sharp (libvips), which also says what is wrong with a damaged one; HEIC through libheif (`heif/`), turned as the file says,
 * which is not EXIF. sharp only decodes; its resize differs from Pillow's.
 * Checked against Pillow 9.4: JPEG baseline, progressive, gray and CMYK, PNG RGB, RGBA, gray, palette and 1-bit. libvips
 * opens more than pictures (drawings, documents, tables), so it is given only files that are pictures by their first bytes.
 */
import type { Sharp } from "sharp"
import { type DecodedJpeg, isJpeg, jpegDecoder } from "../../../jpeg/index.ts"
import { kindOf } from "../../core/arguments.ts"
import { assert, messageOf, UserError } from "../../core/errors.ts"
import { type Image8, image8 } from "../../core/image/pixels.ts"
import { readBytes } from "../files/files.ts"
import { asPlanes, fromPlanes } from "./avif/chroma.ts"
import { withoutTurns } from "./avif/turns.ts"
import { completed, promisesTooMuch } from "./cut-off.ts"
import { firstFrame, onScreen } from "./gif-frame.ts"
import { decodeHeifHere, type HeifOptions } from "./heif/decode-heif.ts"
import { decodeHeifBeside } from "./heif/heif-threads.ts"
import { hasManyScans, mostScans } from "./jpeg-segments.ts"
import { orientationOf, turned } from "./orientation.ts"
import { pictureFormat, pictureFormats, type Truncated } from "./picture-format.ts"
import { requireAllowedSize } from "./pixel-limit.ts"
import { firstPage, hasPages } from "./tiff-pages.ts"

export interface DecodeOptions {
  /**
   * Whether the orientation that a camera noted turns the picture. The reference pipelines ignore it, except in TIFF and HEIC: these
   * are always upright.
   */
  readonly exif?: "ignore" | "apply"
  /** Larger pictures are refused before their pixels are read; they take 3 bytes per pixel. */
  readonly maxPixels?: number
  /** Whether the first frame of an animation is taken, or the animation is refused. */
  readonly animated?: "first" | "refuse"
  /** For error messages when bytes are given instead of a path. */
  readonly name?: string
  /**
   * What happens to a JPEG or PNG that is cut off. "accept" reads what is there, as training and data generation of
   * the reference do (`cut-off.ts`).
   */
  readonly truncated?: Truncated
  /** "sharp" leaves JPEG files to sharp too. */
  readonly decoder?: "fastest" | "sharp"
}

export interface DecodedImage extends Image8 {
  /** The file was cut off; the missing pixels are filled in. */
  readonly isCutOff?: true
}

export const defaultMaxPixels = 100_000_000

/** Which decoders there are here, for people. */
export function decodersHere(): string {
  return jpegDecoder
    ? "JPEG files are decoded by libjpeg-turbo, HEIC by libheif, other pictures by libvips"
    : "all pictures but HEIC are decoded by libvips: the addon for JPEG files is not built (`mobileclip setup` builds it)"
}

let loading: Promise<typeof import("sharp").default> | null = null

/** When the first file comes that needs it: libvips takes a tenth of a second and 20 MB, and undamaged JPEG files do without. */
export function loadSharp(): Promise<typeof import("sharp").default> {
  loading ??= import("sharp").then(({ default: sharp }) => {
    // Every picture is read once, so a cache of the last ones would only take memory.
    sharp.cache(false)
    return sharp
  })
  return loading
}

/**
 * A JPEG, PNG, WebP, AVIF, HEIC, TIFF or GIF picture; of an animation, the first frame. Throws UserError, in one line with the
 * path, if the file cannot be read, is not a picture, is damaged or cut off, or has more than `maxPixels`.
 */
export async function decodeImage(source: string | Uint8Array, options: DecodeOptions = {}): Promise<DecodedImage> {
  if (typeof source !== "string" && !(source instanceof Uint8Array)) {
    throw new UserError(`the path or the bytes of a picture file were expected, not ${kindOf(source)}`)
  }
  // A copy, because who gave them may hand them to a thread meanwhile, and libvips would read freed memory.
  const bytes = typeof source === "string" ? await readBytes(source) : new Uint8Array(source)
  const name = options.name ?? (typeof source === "string" ? source : "picture")
  if (bytes.length === 0) throw new UserError(`${name} is empty`, "a picture file was expected")
  if (isForAddon(bytes, options)) {
    const decoded = await jpegDecoder!.decodeAsync(bytes, options.maxPixels ?? defaultMaxPixels)
    if (decoded) return toImage(name, bytes, decoded, options)
  }
  requireFormat(bytes, name)
  switch (pictureFormat(bytes)) {
    case "gif":
      return decodeGif(bytes, name, options)
    case "tif":
      return decodeTiff(bytes, name, options)
    case "avif":
      return decodeAvif(bytes, name, options)
    case "heic":
      return decodeHeifBeside(bytes, heifOptions(name, options))
    default:
      return decodeCompleted(bytes, name, options)
  }
}

async function decodeCompleted(bytes: Uint8Array, name: string, options: DecodeOptions): Promise<DecodedImage> {
  requireFewScans(bytes, name)
  if (isJpeg(bytes) && promisesTooMuch(bytes))
    throw new UserError(`${name} is damaged or cut off`, "get it again, or leave it out")
  const whole = options.truncated === "accept" ? completed(bytes, options.maxPixels ?? defaultMaxPixels) : null
  const image = await decodeWithSharp(whole ?? bytes, name, options)
  return whole ? { ...image, isCutOff: true } : image
}

/** Throws UserError for a JPEG with more passes over its pixels than any picture needs. */
export function requireFewScans(bytes: Uint8Array, name: string): void {
  if (!isJpeg(bytes) || !hasManyScans(bytes)) return
  throw new UserError(`${name} has more than ${mostScans} scans, which take too long`, "save it again, or leave it out")
}

async function decodeAvif(bytes: Uint8Array, name: string, options: DecodeOptions): Promise<Image8> {
  if (options.exif === "apply") return decodeWithSharp(bytes, name, options)
  const file = withoutTurns(bytes)
  const planes = asPlanes(file)
  const picture = planes && fromPlanes(await decodeWithSharp(planes.file, name, options), planes)
  return picture ?? decodeWithSharp(file, name, options)
}

async function decodeGif(bytes: Uint8Array, name: string, options: DecodeOptions): Promise<Image8> {
  const frame = firstFrame(bytes)
  if (!frame) return decodeWithSharp(bytes, name, options)
  const { width, height, frames } = frame
  if (frames > 1 && options.animated === "refuse") throw animation(name, frames)
  requireAllowedSize(name, width, height, options.maxPixels ?? defaultMaxPixels)
  return onScreen(await decodeWithSharp(frame.file, name, options), frame)
}

function decodeTiff(bytes: Uint8Array, name: string, options: DecodeOptions): Promise<Image8> {
  if (options.animated === "refuse" && hasPages(bytes)) throw new UserError(`${name} has several pages`)
  return decodeWithSharp(firstPage(bytes), name, { ...options, exif: "apply" })
}

/** Other files may take libvips any amount of time and memory: a drawing has filters, and no pixels that could be counted. */
export function requireFormat(bytes: Uint8Array, name: string): void {
  const format = pictureFormat(bytes)
  if (format !== null && decodedFormats.includes(format)) return
  const found = format === null ? "not a picture" : `a ${format.toUpperCase()} picture, which cannot be read`
  throw new UserError(`${name} is ${found}`, `${pictureFormats} files are`)
}

const decodedFormats = ["jpg", "png", "webp", "avif", "heic", "tif", "gif"]

function heifOptions(name: string, { maxPixels = defaultMaxPixels, animated = "first" }: DecodeOptions): HeifOptions {
  return { name, maxPixels, animated }
}

/** `decodeImage` of bytes, in this thread as far as possible: for threads that have nothing else to do. */
export async function decodeHere(bytes: Uint8Array, options: DecodeOptions = {}): Promise<DecodedImage> {
  if (isForAddon(bytes, options)) {
    const decoded = jpegDecoder!.decode(bytes, options.maxPixels ?? defaultMaxPixels)
    if (decoded) return toImage(options.name ?? "picture", bytes, decoded, options)
  }
  if (pictureFormat(bytes) === "heic") return decodeHeifHere(bytes, heifOptions(options.name ?? "picture", options))
  return decodeImage(bytes, { ...options, decoder: "sharp" })
}

/** The addon ignores the orientation, as the reference does; where it is unclear, sharp decides. */
export function isForAddon(bytes: Uint8Array, { exif, decoder }: DecodeOptions): boolean {
  if (jpegDecoder === null || decoder === "sharp" || !isJpeg(bytes) || promisesTooMuch(bytes)) return false
  return exif !== "apply" || orientationOf(bytes) !== null
}

function toImage(
  name: string,
  bytes: Uint8Array,
  { width, height, data }: DecodedJpeg,
  options: DecodeOptions,
): Image8 {
  requireAllowedSize(name, width, height, options.maxPixels ?? defaultMaxPixels)
  assert(data !== null, "a picture within the limit has pixels")
  const image = image8(width, height, data)
  return options.exif === "apply" ? turned(image, orientationOf(bytes) ?? 1) : image
}

async function decodeWithSharp(bytes: Uint8Array, name: string, options: DecodeOptions): Promise<Image8> {
  const sharp = await loadSharp()
  // libvips reports what is cut off at this level, and lets pass what libjpeg only warns of, as Pillow does.
  const picture = sharp(bytes, { failOn: "error", ignoreIcc: true, limitInputPixels: false })
  const { width, height, space, pages = 1 } = await explained(name, picture.metadata())
  if (pages > 1 && options.animated === "refuse") throw animation(name, pages)
  requireAllowedSize(name, width, height, options.maxPixels ?? defaultMaxPixels)
  if (options.exif === "apply") picture.autoOrient()
  return space === "cmyk" ? decodeCmyk(name, picture) : decodeRgb(name, picture)
}

function animation(name: string, frames: number): UserError {
  return new UserError(`${name} is an animation of ${frames} frames`)
}

async function decodeRgb(name: string, picture: Sharp): Promise<Image8> {
  const raw = picture.removeAlpha().toColourspace("srgb").raw()
  const { data, info } = await explained(name, raw.toBuffer({ resolveWithObject: true }))
  return image8(info.width, info.height, data)
}

/** By Pillow's formula; libvips would go through a colour profile. Adobe's inversion is undone by libvips already. */
async function decodeCmyk(name: string, picture: Sharp): Promise<Image8> {
  const raw = picture.pipelineColourspace("cmyk").toColourspace("cmyk").raw()
  const { data, info } = await explained(name, raw.toBuffer({ resolveWithObject: true }))
  const rgb = new Uint8ClampedArray(info.width * info.height * 3)
  for (let from = 0, to = 0; to < rgb.length; from += 4, to += 3) {
    const white = 255 - data[from + 3]!
    for (let c = 0; c < 3; c++) rgb[to + c] = white - scaleByte(data[from + c]!, white)
  }
  return image8(info.width, info.height, rgb)
}

/** a * b / 255, rounded. */
function scaleByte(a: number, b: number): number {
  const t = a * b + 128
  return (t + (t >> 8)) >> 8
}

/**
 * Runs `work` and explains its errors. libvips' own words are the cause alone: with several pictures at once they may be another
 * one's, and what is written down of a picture must not depend on that.
 */
export async function explained<T>(name: string, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (messageOf(error).includes("unsupported image format")) {
      throw new UserError(`${name} is not a picture`, `${pictureFormats} files are`, { cause: error })
    }
    throw new UserError(`${name} is damaged or cut off`, "get it again, or leave it out", { cause: error })
  }
}
