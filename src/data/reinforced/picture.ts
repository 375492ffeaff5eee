/** Which members are pictures. */
import { pictureFormat } from "../../host/image/picture-format.ts"

/** In order of preference, where a sample has several. */
export const pictureExtensions = ["jpg", "jpeg", "png", "webp", "gif", "tif", "tiff", "bmp", "avif", "heic"]

/** `jpg` where the bytes say nothing: whoever decodes it will. */
export function pictureExtension(bytes: Uint8Array): string {
  return pictureFormat(bytes) ?? "jpg"
}
