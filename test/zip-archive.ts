/** Writes zip archives for the tests of what reads them: stored or deflated entries, with 32-bit or 64-bit fields. */
import { crc32, deflateRawSync } from "node:zlib"

export interface ZipOptions {
  readonly deflate?: boolean
  /** Every size and offset in 64-bit fields. */
  readonly zip64?: boolean
  /** Each entry's data begins at a multiple of this; torch: 64. */
  readonly align?: number
  /** A CRC-32 of 0 stands for one that was not computed. */
  readonly crc?: boolean
}

const maximum = 0xffffffff

/** The archive of these entries, in their order. */
export function zipArchive(entries: ReadonlyMap<string, Uint8Array>, options: ZipOptions = {}): Uint8Array {
  const parts: Uint8Array[] = []
  const directory: Uint8Array[] = []
  let offset = 0
  for (const [name, content] of entries) {
    const data = options.deflate ? deflateRawSync(content) : content
    const fields = entryFields(name, content, data, options)
    const padding = (options.align ?? 1) - ((offset + 30 + name.length + 4) % (options.align ?? 1))
    const extra = options.align ? bytesOf([0x4246, 2], [padding, 2], [0, padding]) : new Uint8Array(0)
    const local = bytesOf([0x04034b50, 4], ...fields, [name.length, 2], [extra.length, 2])
    directory.push(directoryEntry(name, fields, offset, content.length, data.length, options))
    parts.push(local, Buffer.from(name), extra, data)
    offset += local.length + name.length + extra.length + data.length
  }
  return Uint8Array.from(Buffer.concat([...parts, ...directory, end(directory, offset, options)]))
}

type Field = readonly [value: number, bytes: number]

/** What a local header and a directory entry have in common, from the version to the sizes. */
function entryFields(name: string, content: Uint8Array, data: Uint8Array, options: ZipOptions): Field[] {
  const checksum = options.crc === false ? 0 : crc32(content)
  const utf8 = /^[\x20-\x7e]*$/.test(name) ? 0 : 0x800
  const sizes: Field[] = options.zip64
    ? [[maximum, 4], [maximum, 4]] // biome-ignore format: a pair
    : [[data.length, 4], [content.length, 4]] // biome-ignore format: a pair
  return [[45, 2], [utf8, 2], [options.deflate ? 8 : 0, 2], [0, 4], [checksum, 4], ...sizes]
}

function directoryEntry(
  name: string,
  fields: readonly Field[],
  offset: number,
  size: number,
  stored: number,
  { zip64 }: ZipOptions,
): Uint8Array {
  const extra = zip64 ? bytesOf([1, 2], [24, 2], [size, 8], [stored, 8], [offset, 8]) : new Uint8Array(0)
  const place = zip64 ? maximum : offset
  const lengths: Field[] = [
    [name.length, 2],
    [extra.length, 2],
    [0, 2],
    [0, 4],
    [0, 4],
    [place, 4],
  ]
  return Buffer.concat([bytesOf([0x02014b50, 4], [45, 2], ...fields, ...lengths), Buffer.from(name), extra])
}

function end(directory: readonly Uint8Array[], offset: number, { zip64 }: ZipOptions): Uint8Array {
  const size = directory.reduce((sum, entry) => sum + entry.length, 0)
  const count = directory.length
  const last = (n: number, place: number) =>
    bytesOf([0x06054b50, 4], [0, 4], [n, 2], [n, 2], [size, 4], [place, 4], [0, 2])
  if (!zip64) return last(count, offset)
  const record = bytesOf(
    [0x06064b50, 4],
    [44, 8],
    [45, 2],
    [45, 2],
    [0, 8],
    [count, 8],
    [count, 8],
    [size, 8],
    [offset, 8],
  )
  const locator = bytesOf([0x07064b50, 4], [0, 4], [offset + size, 8], [1, 4])
  return Buffer.concat([record, locator, last(0xffff, maximum)])
}

/** Little-endian. */
function bytesOf(...fields: readonly Field[]): Uint8Array {
  const bytes: number[] = []
  for (const [value, length] of fields) {
    for (let i = 0; i < length; i++) bytes.push(Math.floor(value / 2 ** (8 * i)) % 256)
  }
  return Uint8Array.from(bytes)
}
