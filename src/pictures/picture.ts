/** What a program may give for a picture in Node, as a file to decode or as pixels that are there. */
import { pixelsOf } from "../core/arguments.ts"
import { UserError } from "../core/errors.ts"
import type { Image8, Rgba } from "../core/image/pixels.ts"
import { pathOfFileUrl } from "../host/files/file-url.ts"
import type { PictureSource } from "./encode-files.ts"

/**
 * A path; a `file:` URL; a `data:` URI in base64; the bytes of a file; a Blob or File; pixels as a canvas gives them
 * ({ width, height, data } with RGBA, whose alpha is dropped); RGB pixels as `decodeImage` gives them.
 */
export type NodePicture = string | URL | Uint8Array | ArrayBuffer | Blob | Rgba | Image8

/** Pixels, or a file. The bytes of a Blob are read when they are asked for. */
export type OpenPicture =
  | { readonly kind: "pixels"; readonly image: Image8 }
  | { readonly kind: "file"; read(): PictureSource | Promise<PictureSource> }

/** @param number from 1 on, for messages. Throws UserError for what is not a picture. */
export function openPicture(picture: NodePicture, number: number): OpenPicture {
  const name = `picture ${number}`
  if (typeof picture === "string") return file(sourceOf(picture, name))
  if (picture instanceof URL) return file(sourceOf(picture.href, name))
  if (picture instanceof Uint8Array) return file({ name, bytes: picture })
  if (picture instanceof ArrayBuffer) return file({ name, bytes: new Uint8Array(picture) })
  if (picture instanceof Blob) return { kind: "file", read: () => readBlob(picture, name) }
  return { kind: "pixels", image: pixelsOf(picture, name, pictureHint) }
}

function file(source: PictureSource): OpenPicture {
  return { kind: "file", read: () => source }
}

/** Linux takes so many bytes, macOS fewer, and Windows more only where a program asks for them. */
const longestPath = 4096

const base64Hint = 'where it is base64, give Buffer.from(text, "base64"), or write "data:image/jpeg;base64," before it'

/** A path, or an address of one of two kinds. */
function sourceOf(text: string, name: string): PictureSource {
  const scheme = /^([a-z][a-z+.-]+):/i.exec(text)?.[1]?.toLowerCase()
  if (scheme === "file") return pathOfFileUrl(text, name)
  if (scheme === "data") return { name, bytes: bytesOf(text, name) }
  if (text.length > longestPath)
    throw new UserError(`${name} is a text of ${text.length} letters, which is no path`, base64Hint)
  if (scheme !== "http" && scheme !== "https") return text
  throw new UserError(
    `${name} is an address: pictures are not downloaded`,
    "give its bytes: await (await fetch(address)).blob()",
  )
}

function bytesOf(uri: string, name: string): Uint8Array {
  const [, data] = /^data:[^,]*;base64,(.*)$/is.exec(uri) ?? []
  if (data !== undefined) return Buffer.from(data, "base64")
  throw new UserError(`${name} is a data: URI that is not in base64`, "write data:image/png;base64,...")
}

async function readBlob(blob: Blob, name: string): Promise<PictureSource> {
  return { name: blob instanceof File ? blob.name : name, bytes: new Uint8Array(await blob.arrayBuffer()) }
}

const pictureHint =
  "give a path, a file: URL, bytes, a Blob, ImageData, or { width, height, channels: 3, data } with RGB bytes"
