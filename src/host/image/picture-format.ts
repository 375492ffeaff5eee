/** The format of an encoded picture by its first bytes, and what may happen to one that is cut off. */

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
  ["heic", /^[\s\S]{4}ftyp(?:[\s\S]{4}){0,32}?(hei[cxms]|hev[cxms]|mif1|msf1)/],
]

/** The formats that are read, for messages. */
export const pictureFormats = "JPEG, PNG, WebP, AVIF, HEIC, TIFF and GIF"

/** The format as a file's extension; null where it is not a known one. */
export function pictureFormat(bytes: Uint8Array): string | null {
  const head = Buffer.from(bytes.subarray(0, 144)).toString("latin1")
  return signatures.find(([, pattern]) => pattern.test(head))?.[0] ?? null
}

/** "accept": what is there is read. */
export const truncatedChoices = ["accept", "refuse"] as const

export type Truncated = (typeof truncatedChoices)[number]
