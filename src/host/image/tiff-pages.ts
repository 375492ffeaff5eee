/**
 * The first page of a TIFF file: libvips goes through the chain of all pages, which may have hundreds of thousands. An
 * orientation that is none of the eight, which libtiff refuses, counts as none, as with Pillow.
 */

/** The same file without its other pages; unchanged where it has one page and a known orientation, or is damaged. */
export function firstPage(bytes: Uint8Array): Uint8Array {
  const file = bufferOf(bytes)
  const directory = firstDirectory(file)
  if (!directory) return bytes
  const changes = [nextPage(file, directory), wrongOrientation(file, directory)].filter((change) => change !== null)
  if (changes.length === 0) return bytes
  const changed = Buffer.from(file)
  for (const { at, bytes } of changes) changed.set(bytes, at)
  return changed
}

export function hasPages(bytes: Uint8Array): boolean {
  const file = bufferOf(bytes)
  const directory = firstDirectory(file)
  return directory !== null && nextPage(file, directory) !== null
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

interface Directory {
  readonly isLittle: boolean
  readonly isBig: boolean
  /** Position of its entries. */
  readonly entries: number
  readonly count: number
  readonly entryBytes: number
}

interface Change {
  readonly at: number
  readonly bytes: Uint8Array
}

function firstDirectory(file: Buffer): Directory | null {
  const isBig = file[2] === 43 || file[3] === 43
  const [size, countSize, entryBytes] = isBig ? ([8, 8, 20] as const) : ([4, 2, 12] as const)
  const isLittle = file[0] === 0x49
  const at = numberAt(file, isBig ? 8 : 4, size, isLittle)
  const count = numberAt(file, at, countSize, isLittle)
  const entries = at + countSize
  return entries + count * entryBytes + size <= file.length ? { isLittle, isBig, entries, count, entryBytes } : null
}

/** NaN where the file ends before. */
function numberAt(file: Buffer, at: number, length: 2 | 4 | 8, isLittle: boolean): number {
  if (!(at + length <= file.length)) return Number.NaN
  if (length < 8) return isLittle ? file.readUIntLE(at, length) : file.readUIntBE(at, length)
  return Number(isLittle ? file.readBigUInt64LE(at) : file.readBigUInt64BE(at))
}

/** The directory says after its entries where the next one is. */
function nextPage(file: Buffer, { isBig, entries, count, entryBytes }: Directory): Change | null {
  const at = entries + count * entryBytes
  const size = isBig ? 8 : 4
  return file.subarray(at, at + size).every((byte) => byte === 0) ? null : { at, bytes: Buffer.alloc(size) }
}

const orientationTag = 274

function wrongOrientation(file: Buffer, { isLittle, isBig, entries, count, entryBytes }: Directory): Change | null {
  for (let at = entries; at < entries + count * entryBytes; at += entryBytes) {
    if (numberAt(file, at, 2, isLittle) !== orientationTag) continue
    const value = at + (isBig ? 12 : 8)
    const orientation = numberAt(file, value, 2, isLittle)
    return orientation >= 1 && orientation <= 8 ? null : { at: value, bytes: Buffer.from(isLittle ? [1, 0] : [0, 1]) }
  }
  return null
}
