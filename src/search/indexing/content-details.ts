/** What an index keeps of a picture's bytes: their hash, the size as it is seen, and what the file says about itself. */
import { createHash } from "node:crypto"
import { pictureFormat } from "../../host/image/picture-format.ts"
import { readPictureMetadata } from "../../host/image/picture-metadata.ts"
import { pictureSize } from "../../host/image/picture-size.ts"
import type { ContentDetails } from "../store/index-writer.ts"

export function contentHash(bytes: Uint8Array): Uint8Array {
  return createHash("sha256").update(bytes).digest()
}

/** Throws UserError where the bytes are not a picture. */
export async function contentDetails(
  bytes: Uint8Array,
  name: string,
  hash = contentHash(bytes),
): Promise<ContentDetails> {
  const { width, height } = await pictureSize(bytes, name)
  const format = pictureFormat(bytes)
  const said = await readPictureMetadata(bytes, format)
  const [seenWidth, seenHeight] = said.orientation > 4 ? [height, width] : [width, height]
  return {
    ...{ hash, bytes: bytes.length, format: format ?? "", width: seenWidth, height: seenHeight },
    ...{ orientation: said.orientation, taken: said.taken?.text ?? null, camera: said.camera, lens: said.lens },
    ...{ latitude: said.latitude, longitude: said.longitude, caption: said.caption, keywords: said.keywords },
    sharpness: null,
  }
}
