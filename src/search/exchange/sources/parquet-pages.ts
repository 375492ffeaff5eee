/**
 * Checks a column of a parquet file before it is decoded. The decoder trusts counts in the file: a flipped bit in one would
 * fill the memory, which ends the process. (Format: apache/parquet-format, README and Encodings.)
 */
import type { ColumnMetaData, Compressors, DataReader } from "hyparquet"
import { Budget } from "../../../core/budget.ts"

export interface ColumnToCheck {
  readonly bytes: Uint8Array
  readonly metadata: ColumnMetaData
  /** Rows of the row group. */
  readonly rows: number
  readonly isRequired: boolean
  readonly compressors: Compressors
  /** For messages. */
  readonly name: string
}

/** Snappy shrinks texts to a twentieth at most; other codecs only shrink copies further. */
const unpackedBudget = (bytes: number) => 2 ** 24 + 256 * bytes

/** Those that pandas, pyarrow and others write for texts unless told otherwise. */
const readEncodings: readonly string[] = ["PLAIN", "PLAIN_DICTIONARY", "RLE_DICTIONARY", "DELTA_LENGTH_BYTE_ARRAY"]

/** Throws an error where pages have other counts or sizes than the row group says. Columns are flat. */
export async function checkPages(column: ColumnToCheck): Promise<void> {
  const { bytes, metadata, rows, compressors, name } = column
  const { parquetHeader } = await import("hyparquet/src/column.js")
  const { decompressPage } = await import("hyparquet/src/datapage.js")
  const budget = new Budget(unpackedBudget(bytes.length), name)
  const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: 0 }
  let left = rows
  while (left > 0) {
    const header = parquetHeader(reader)
    const { compressed_page_size: size, uncompressed_page_size: unpacked } = header
    requireThat(Number.isInteger(size) && size >= 0 && reader.offset + size <= bytes.length, "a page is cut off")
    budget.take(unpacked, "a page")
    const stored = bytes.subarray(reader.offset, reader.offset + size)
    reader.offset += size
    const { data_page_header: v1, data_page_header_v2: v2, dictionary_page_header: dictionary } = header
    if (dictionary)
      requireThat(dictionary.num_values >= 0 && dictionary.num_values * 4 <= unpacked, "a dictionary is damaged")
    const values = v1?.num_values ?? v2?.num_values
    if (values === undefined) continue
    requireThat(values > 0 && values <= left, "a page has more rows than its group")
    left -= values
    const encoding = v1?.encoding ?? v2!.encoding
    requireThat(
      readEncodings.includes(encoding),
      `column ${metadata.path_in_schema} is encoded as ${encoding}, which is not read`,
    )
    if (v1) checkFirst(decompressPage(stored, unpacked, metadata.codec, compressors), v1, column)
    else checkSecond(stored, header, column, decompressPage)
  }
}

type PageHeader = ReturnType<typeof import("hyparquet/src/column.js")["parquetHeader"]>
type Decompress = typeof import("hyparquet/src/datapage.js")["decompressPage"]

/** Levels have their length before them; then come the values. */
function checkFirst(
  page: Uint8Array,
  header: NonNullable<PageHeader["data_page_header"]>,
  column: ColumnToCheck,
): void {
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength)
  let start = 0
  if (!column.isRequired) {
    const length = view.getUint32(0, true)
    start = 4 + length
    requireThat(start <= page.length, "levels are cut off")
    checkRuns({ view, offset: 4 }, start, 1, header.num_values)
  }
  if (isDictionary(header.encoding)) checkIndices(view, start, header.num_values)
}

/** Levels are not packed, and their length is in the header. */
function checkSecond(stored: Uint8Array, header: PageHeader, column: ColumnToCheck, decompress: Decompress): void {
  const v2 = header.data_page_header_v2!
  const { definition_levels_byte_length: levels, repetition_levels_byte_length: others } = v2
  requireThat(others === 0 && levels >= 0 && levels <= stored.length, "levels are damaged")
  requireThat(v2.num_nulls >= 0 && v2.num_nulls <= v2.num_values, "there are more nulls than values")
  const view = new DataView(stored.buffer, stored.byteOffset, stored.byteLength)
  if (!column.isRequired) checkRuns({ view, offset: 0 }, levels, 1, v2.num_values)
  if (!isDictionary(v2.encoding)) return
  const packed = stored.subarray(levels)
  const unpacked = header.uncompressed_page_size - levels
  const isPacked = v2.is_compressed !== false && unpacked > 0
  const page = isPacked ? decompress(packed, unpacked, column.metadata.codec, column.compressors) : packed
  checkIndices(new DataView(page.buffer, page.byteOffset, page.byteLength), 0, v2.num_values - v2.num_nulls)
}

function isDictionary(encoding: string): boolean {
  return encoding === "PLAIN_DICTIONARY" || encoding === "RLE_DICTIONARY"
}

/** A byte with the width of an index, then runs of indices; of width 0 there are none. */
function checkIndices(view: DataView, start: number, most: number): void {
  if (start >= view.byteLength) return
  const width = view.getUint8(start)
  requireThat(width <= 32, "indices are too wide")
  if (width > 0) checkRuns({ view, offset: start + 1 }, view.byteLength, width, most)
}

/** Runs of one value, or of values in groups of eight, of which the last is filled up. */
function checkRuns(reader: DataReader, end: number, width: number, most: number): void {
  let seen = 0
  while (seen < most && reader.offset < end) {
    const head = readVarInt(reader)
    const isPacked = (head & 1) === 1
    const count = (head >>> 1) * (isPacked ? 8 : 1)
    requireThat(count > 0 && seen + count <= most + (isPacked ? 7 : 0), "a run is longer than its page")
    reader.offset += isPacked ? (count * width) / 8 : (width + 7) >> 3
    seen += count
  }
}

function readVarInt(reader: DataReader): number {
  let value = 0
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = reader.view.getUint8(reader.offset++)
    value |= (byte & 0x7f) << shift
    if (byte < 0x80) return value >>> 0
  }
  throw new Error("a length is damaged")
}

function requireThat(condition: boolean, otherwise: string): void {
  if (!condition) throw new Error(otherwise)
}
