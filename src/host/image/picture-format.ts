/** What an encoded picture is by its first bytes, and what may become of one that ends before its end. */

const signatures: readonly (readonly [extension: string, pattern: RegExp])[] = [
  ["jpg", /^\xff\xd8\xff/],
  ["png", /^\x89PNG/],
  ["webp", /^RIFF[\s\S]{4}WEBP/],
  ["gif", /^GIF8/],
  // The second kind, BigTIFF, has offsets of 64 bits.
  ["tif", /^(II[*+]\0|MM\0[*+])/],
  ["bmp", /^BM/],
  // The brand of the file, or one of those that it is compatible with.
  ["avif", /^\0\0[\s\S]{2}ftyp(?:[\s\S]{4}){0,32}?avi[fs]/],
  ["heic", /^[\s\S]{4}ftyp(hei|hev|mif1|msf1)/],
]

/** What is read, for messages. */
export const pictureFormats = "JPEG, PNG, WebP, AVIF, TIFF and GIF"

/** As an extension of a file; null where it is none of those that are known. */
export function pictureFormat(bytes: Uint8Array): string | null {
  const head = Buffer.from(bytes.subarray(0, 144)).toString("latin1")
  return signatures.find(([, pattern]) => pattern.test(head))?.[0] ?? null
}

/** "accept": what is there is read. */
export const truncatedChoices = ["accept", "refuse"] as const

export type Truncated = (typeof truncatedChoices)[number]
