/** A picture that came to the worker -> RGB pixels as they are stored: no colour profile is applied, alpha is dropped. */
import { EnvironmentError, messageOf, UserError } from "../../core/errors.ts"
import type { Image8 } from "../../core/image/pixels.ts"
import type { Orientation } from "../protocol.ts"
import { isJpeg, type JpegDecoder } from "./jpeg.ts"
import type { SentPicture } from "./picture.ts"
import { readPixels } from "./read-pixels.ts"
import { type Size, statedSize } from "./stated-size.ts"
import { withoutTurns } from "./without-turns.ts"

/** How files are read. */
export interface Decoding {
  /** Null: the browser decodes JPEG files, too. */
  readonly jpeg: JpegDecoder | null
  readonly orientation: Orientation
  readonly maxPixels: number
}

/** Throws UserError that names the picture; the signal's reason. */
export async function decodePicture(picture: SentPicture, how: Decoding, signal?: AbortSignal): Promise<Image8> {
  switch (picture.kind) {
    case "pixels":
      return picture.image
    case "bitmap":
      return readPixels(picture.bitmap, picture.name)
    case "file":
      return decodeFile(await bytesOf(picture.file, picture.name), picture.name, how)
    case "address": {
      const name = `${picture.name} (${shortened(picture.url)})`
      return decodeFile(await fetched(picture.url, name, signal), name, how)
    }
  }
}

async function decodeFile(bytes: Uint8Array<ArrayBuffer>, name: string, how: Decoding): Promise<Image8> {
  const { jpeg, orientation, maxPixels } = how
  if (bytes.length === 0) throw new UserError(`${name} is empty`, "a picture file was expected")
  requireSize(name, statedSize(bytes), maxPixels)
  const exact = jpeg && isJpeg(bytes) ? await jpeg.decode(bytes, name, orientation) : null
  return exact ?? readPixels(await bitmapOf(orientation === "apply" ? bytes : withoutTurns(bytes), name), name)
}

function requireSize(name: string, size: Size | null, maxPixels: number): void {
  if (!size || size.width * size.height <= maxPixels) return
  throw new UserError(
    `${name} has ${size.width} x ${size.height} pixels, more than the limit of ${maxPixels.toLocaleString("en")}`,
    "make it smaller first, or raise the limit (maxPixels)",
  )
}

async function bitmapOf(bytes: Uint8Array<ArrayBuffer>, name: string): Promise<ImageBitmap> {
  try {
    return await createImageBitmap(new Blob([bytes]), { colorSpaceConversion: "none", premultiplyAlpha: "none" })
  } catch (error) {
    throw new UserError(
      `${name} is not a picture that this browser decodes, or is damaged`,
      "browsers decode JPEG, PNG, WebP, GIF and AVIF; convert it, or get it again",
      { cause: error },
    )
  }
}

async function bytesOf(file: Blob | Uint8Array<ArrayBuffer>, name: string): Promise<Uint8Array<ArrayBuffer>> {
  if (file instanceof Uint8Array) return file
  try {
    return new Uint8Array(await file.arrayBuffer())
  } catch (error) {
    throw new UserError(`${name} cannot be read (${messageOf(error)})`, "it may have changed: choose it again", {
      cause: error,
    })
  }
}

async function fetched(url: string, name: string, signal: AbortSignal | undefined): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(url, signal ? { signal } : {}).catch((error: unknown) => {
    signal?.throwIfAborted()
    throw new EnvironmentError(
      `${name} cannot be fetched (${messageOf(error)})`,
      "the server must be reachable and allow this page to read it (CORS)",
      { cause: error },
    )
  })
  if (!response.ok)
    throw new UserError(`${name} cannot be fetched: the server answers ${response.status}`, "check the address")
  return new Uint8Array(await response.arrayBuffer())
}

/** For messages: data: addresses hold whole pictures. */
function shortened(url: string): string {
  return url.length > 100 ? `${url.slice(0, 100)}...` : url
}
