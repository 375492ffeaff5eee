/** Which members are pictures, and what an encoded picture is by its first bytes. */

/** In order of preference, where a sample has several. */
export const pictureExtensions = ["jpg", "jpeg", "png", "webp", "gif", "tif", "tiff", "bmp", "avif", "heic"]

const signatures: readonly (readonly [extension: string, pattern: RegExp])[] = [
  ["jpg", /^\xff\xd8\xff/],
  ["png", /^\x89PNG/],
  ["webp", /^RIFF[\s\S]{4}WEBP/],
  ["gif", /^GIF8/],
  ["tif", /^(II\*\0|MM\0\*)/],
  ["bmp", /^BM/],
  ["avif", /^[\s\S]{4}ftypavi[fs]/],
  ["heic", /^[\s\S]{4}ftyp(hei|mif1)/],
]

/** `jpg` where the bytes say nothing: whoever decodes it will. */
export function pictureExtension(bytes: Uint8Array): string {
  const head = Buffer.from(bytes.subarray(0, 16)).toString("latin1")
  return signatures.find(([, pattern]) => pattern.test(head))?.[0] ?? "jpg"
}
