/** What requests are about, whatever the protocol: texts, and the bytes of pictures. */
import type { Asking, ModelEngine } from "../engine/served-model.ts"
import { RequestError } from "./errors.ts"

export type Content =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "picture"; readonly bytes: Uint8Array }

/** Gets a picture from an address, where that is allowed. Throws RequestError, which names the field that the address is in. */
export type FetchPicture = (url: string, field: string, signal: AbortSignal) => Promise<Uint8Array>

/** A picture as text: a data URI, an address, or base64 alone. */
export async function readPicture(
  value: string,
  field: string,
  fetchPicture: FetchPicture,
  signal: AbortSignal,
): Promise<Uint8Array> {
  if (/^https?:/i.test(value)) return fetchPicture(value, field, signal)
  if (isDataUri(value)) return readDataUri(value, field)
  return readBase64(value, field)
}

export function isDataUri(value: string): boolean {
  return /^data:image\//i.test(value)
}

export function readDataUri(value: string, field: string): Uint8Array {
  const comma = value.indexOf(",")
  const head = value.slice(0, comma)
  if (comma < 0 || !/;base64$/i.test(head))
    throw new RequestError("invalid", `${field} is a data URI without base64: write data:image/jpeg;base64,...`, field)
  return readBase64(value.slice(comma + 1), field)
}

export function readBase64(value: string, field: string): Uint8Array {
  const bytes = Buffer.from(value, "base64")
  // Node skips what is not base64. What it expects by the length alone is right where there are no line breaks.
  const isWhole = bytes.length === Buffer.byteLength(value, "base64") || bytes.length === bytesWithin(value)
  if (bytes.length === 0 || !isWhole)
    throw new RequestError("invalid", `${field} is not base64: send the bytes of a picture's file in base64`, field)
  return bytes
}

/** Four characters make three bytes. */
function bytesWithin(base64: string): number {
  return Math.floor((base64.replace(/[\s=]+/g, "").length * 3) / 4)
}

/** Unit vectors of the contents, in their order; texts and pictures are computed side by side. */
export async function encodeContents(
  engine: ModelEngine,
  contents: readonly Content[],
  asking: Asking,
): Promise<Float32Array[]> {
  const texts = contents.flatMap((content) => (content.kind === "text" ? [content.text] : []))
  const pictures = contents.flatMap((content) => (content.kind === "picture" ? [content.bytes] : []))
  const [ofTexts, ofPictures] = await Promise.all([
    texts.length > 0 ? engine.encodeTexts(texts, asking) : [],
    pictures.length > 0 ? engine.encodePictures(pictures, asking) : [],
  ])
  const [nextText, nextPicture] = [ofTexts.values(), ofPictures.values()]
  return contents.map(({ kind }) => (kind === "text" ? nextText : nextPicture).next().value!)
}
