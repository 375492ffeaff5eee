/** What a program may give for a picture in a browser, and the form in which it goes to the worker. */
import { pixelsOf } from "../../core/arguments.ts"
import { messageOf, UserError } from "../../core/errors.ts"
import { type Image8, image8, type Rgba } from "../../core/image/pixels.ts"
import { inOrder } from "../../core/parallel.ts"
import { pageUrl } from "../page-url.ts"

/**
 * A Blob or File, the bytes of a file, an address (relative to the page), ImageData or RGBA pixels (whose alpha is dropped), RGB
 * pixels, or what the browser shows: ImageBitmap, image, canvas, video, VideoFrame. What is given stays the caller's.
 */
export type BrowserPicture = Blob | Uint8Array | ArrayBuffer | string | URL | Rgba | Image8 | Shown

/** What `createImageBitmap` takes as it is on the screen. */
type Shown =
  | ImageBitmap
  | HTMLImageElement
  | SVGImageElement
  | HTMLCanvasElement
  | OffscreenCanvas
  | HTMLVideoElement
  | VideoFrame

/** A picture on its way to the worker; `name` is for messages. */
export type SentPicture = { readonly name: string } & (
  | { readonly kind: "file"; readonly file: Blob | Uint8Array<ArrayBuffer> }
  | { readonly kind: "address"; readonly url: string }
  | { readonly kind: "pixels"; readonly image: Image8 }
  | { readonly kind: "bitmap"; readonly bitmap: ImageBitmap }
)

/** Pictures, and what of them is handed over instead of copied: nothing of it is the caller's. */
interface Parcel {
  readonly pictures: readonly SentPicture[]
  readonly transfer: Transferable[]
}

/**
 * Throws UserError that names the first which is not a picture.
 *
 * @param first its place among all that were given
 */
export async function pack(pictures: readonly BrowserPicture[], first = 0): Promise<Parcel> {
  const transfer: Transferable[] = []
  const sent = pictures.map((picture, i) => toSend(picture, `picture ${first + i + 1}`, transfer))
  return { pictures: await inOrder(sent), transfer }
}

async function toSend(picture: BrowserPicture, name: string, transfer: Transferable[]): Promise<SentPicture> {
  if (typeof picture === "string" || picture instanceof URL)
    return { name, kind: "address", url: address(picture, name) }
  if (picture instanceof Blob)
    return { name: picture instanceof File ? picture.name : name, kind: "file", file: picture }
  if (picture instanceof ArrayBuffer || picture instanceof Uint8Array) {
    // A buffer that was handed over elsewhere has no bytes, and no view can be made of it.
    const file = picture.byteLength === 0 ? new Uint8Array() : copyOf(picture)
    transfer.push(file.buffer)
    return { name, kind: "file", file }
  }
  if (isShown(picture)) {
    const bitmap = await bitmapOf(picture, name)
    transfer.push(bitmap)
    return { name, kind: "bitmap", bitmap }
  }
  const image = ownPixels(picture, name)
  transfer.push(image.data.buffer as ArrayBuffer)
  return { name, kind: "pixels", image }
}

/** The bytes that a view shows, copied. A view's own `slice` may give another view: a polyfill's does. */
function copyOf(bytes: Uint8Array | ArrayBuffer): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes instanceof ArrayBuffer ? bytes.slice() : bytes)
}

function address(given: string | URL, name: string): string {
  const url = URL.canParse(given, pageUrl()) ? new URL(given, pageUrl()) : null
  if (url && /^(https?|blob|data):$/.test(url.protocol)) return url.href
  throw new UserError(
    `${name} is not an address that a browser reads`,
    "give https:, blob: or data:, or the file itself",
  )
}

/** Classes that not every browser has. */
const shown = [
  ...["ImageBitmap", "HTMLImageElement", "SVGImageElement", "HTMLCanvasElement", "OffscreenCanvas", "HTMLVideoElement"],
  "VideoFrame",
]

function isShown(picture: object): picture is Shown {
  const classes = globalThis as unknown as Readonly<Record<string, (new () => unknown) | undefined>>
  return shown.some((name) => classes[name] !== undefined && picture instanceof classes[name])
}

async function bitmapOf(picture: Shown, name: string): Promise<ImageBitmap> {
  try {
    return await createImageBitmap(picture, { colorSpaceConversion: "none", premultiplyAlpha: "none" })
  } catch (error) {
    throw new UserError(
      `${name} has no pixels to read (${messageOf(error)})`,
      "wait until it is loaded; an image from another origin needs crossorigin and that server's consent",
      { cause: error },
    )
  }
}

/** A copy: the caller goes on with its own. */
function ownPixels(picture: Rgba | Image8, name: string): Image8 {
  const image = pixelsOf(picture, name, pictureHint)
  return image === picture ? image8(image.width, image.height, image.data.slice()) : image
}

const pictureHint =
  "give a File or Blob, bytes, an address, ImageData, an ImageBitmap, an image, a canvas, or { width, height, channels: 3, data } with RGB bytes"
