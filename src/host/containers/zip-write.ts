/**
 * Writes small zip archives in memory, the same bytes on every machine: no times, no extra fields but padding, and
 * deflate by a strategy that does not depend on the processor.
 */
import { constants, crc32, deflateRawSync } from "node:zlib"
import { assert } from "../../core/errors.ts"

interface ZipLayout {
  readonly deflate: boolean
  /** Each entry's data begin at a multiple of this. Default: 1. */
  readonly align?: number
}

/**
 * Run lengths and Huffman codes only. Embeddings hold nothing that repeats, so the search of the other strategies finds
 * nothing; and its result depends on the hash that zlib builds in Chromium's version choose by the processor.
 */
export const runLengths = { strategy: constants.Z_RLE, level: 6, memLevel: 9 } as const

/** 1980-01-01, the first day the format knows. */
const noDate = 0x21

/** The archive of these entries, in their order, in the fields of 32 bits. */
export function zipBytes(entries: ReadonlyMap<string, Uint8Array>, layout: ZipLayout): Uint8Array {
  const parts: Uint8Array[] = []
  const directory: Uint8Array[] = []
  let offset = 0
  for (const [name, content] of entries) {
    const path = Buffer.from(name)
    const data = layout.deflate ? deflateRawSync(content, runLengths) : content
    const padding = paddingOf(offset + 30 + path.length, layout.align ?? 1)
    const common = commonFields(path, content, data, layout.deflate)
    parts.push(fields([0x04034b50, 4], ...common, [padding.length, 2]), path, padding, data)
    directory.push(
      fields([0x02014b50, 4], [20, 2], ...common, [0, 2], [0, 2], [0, 2], [0, 2], [0, 4], [offset, 4]),
      path,
    )
    offset += 30 + path.length + padding.length + data.length
  }
  const size = directory.reduce((total, { length }) => total + length, 0)
  assert(offset + size < 2 ** 32, "a zip archive of 4 GiB")
  const counts = [[entries.size, 2], [entries.size, 2]] as const // biome-ignore format: a pair
  return Buffer.concat([...parts, ...directory, fields([0x06054b50, 4], [0, 4], ...counts, [size, 4], [offset, 4], [0, 2])]) // biome-ignore format: the end record
}

/** An extra field for padding ("FB", as torch names it), where the data would not begin at a multiple of `align`. */
function paddingOf(offset: number, align: number): Uint8Array {
  if (offset % align === 0) return new Uint8Array(0)
  const length = align - ((offset + 4) % align)
  return Buffer.concat([fields([0x4246, 2], [length, 2]), new Uint8Array(length)])
}

type Field = readonly [value: number, bytes: 2 | 4]

/** What a local header and a directory entry have in common, from the version to the length of the name. */
function commonFields(path: Uint8Array, content: Uint8Array, data: Uint8Array, deflate: boolean): Field[] {
  const method: Field[] = [[20, 2], [0, 2], [deflate ? 8 : 0, 2], [0, 2], [noDate, 2]] // biome-ignore format: a row
  return [...method, [crc32(content), 4], [data.length, 4], [content.length, 4], [path.length, 2]]
}

/** Little-endian. */
function fields(...values: readonly Field[]): Uint8Array {
  const bytes = Buffer.alloc(values.reduce((total, [, length]) => total + length, 0))
  let at = 0
  for (const [value, length] of values) at = bytes.writeUIntLE(value, at, length)
  return bytes
}
