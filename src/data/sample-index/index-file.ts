/**
 * An index file: where each sample of a shard or a list begins, so that any one is read without the others. It takes 8 bytes a
 * sample on the disk and nothing in memory: the two positions of a sample are read when it is asked for.
 *
 *     "MCLIPIX2"           8 bytes
 *     table                8 bytes each, little-endian: starts[count + 1] in bytes; sample i is from starts[i] to starts[i + 1].
 *                          48 bits are the value, and 16 a hash of it and its place
 *     head                 JSON in UTF-8, `SampleIndexHead`
 *     length of the head   uint32, little-endian
 *     CRC-32 of the head   uint32, little-endian
 *     "MCLIPIX2"           8 bytes
 *
 * A damaged position that happens to be that of another sample would give that one in silence: the hash of each value, which
 * costs no read, tells of all but one in 65,536 before anything is read there.
 *
 * The head comes last, because what it tells is known when all samples are found: makers of long lists hold no table. Where
 * bytes of a sample do not lie side by side (`parts`), the table is first[count + 1], numbers of parts, and then start and end
 * of each part.
 *
 * Positions are read with `readSync`, which takes about 2 microseconds, and the file is not mapped: Node maps none, the
 * system's cache is shared by all ranks and threads either way, and a file that is cut while it is in use is an error of a
 * read and not a signal that ends the process.
 */
import { closeSync, existsSync, fstatSync, openSync, statSync } from "node:fs"
import { crc32 } from "node:zlib"
import { assert, UserError } from "../../core/errors.ts"
import { isObject, isSize, jsonOrNull } from "../../core/json.ts"
import { writeAtomically } from "../../host/files/files.ts"
import { readAt, readWithoutBlocking } from "../../host/files/read-at.ts"

/** What tells whether a file is still the one that was indexed. */
export interface FileStamp {
  readonly bytes: number
  /** When it changed last, in nanoseconds since 1970; a text, because it is larger than what a number counts exactly. */
  readonly mtime: string
}

export interface SampleIndexHead {
  /** What was indexed, and by whose rules: "tar". */
  readonly format: string
  readonly file: FileStamp
  readonly count: number
  /** Number of parts, where samples have several; 0 where each is one run of bytes. */
  readonly parts: number
  /** What the maker keeps beside: JSON of any form, which the reader checks. */
  readonly facts: unknown
}

/** Bytes from `start` to before `end`. */
export interface Extent {
  readonly start: number
  readonly end: number
}

const magic = "MCLIPIX2"
const anyVersion = magic.slice(0, -1)
const trailerBytes = 8 + magic.length

/** What facts may take with the rest of the head: problems of a very damaged shard are more. */
const mostHeadBytes = 2 ** 22

/** An index that is not what was written, or not any more. */
export class DamagedIndex extends UserError {
  constructor(message: string) {
    super(message, "remove it: it is made again")
  }
}

/** The stamp of a file, by its path or its descriptor. Throws the system's errors. */
export function stampOf(file: string | number): FileStamp {
  const options = { bigint: true } as const
  const { size, mtimeNs } = typeof file === "string" ? statSync(file, options) : fstatSync(file, options)
  return { bytes: Number(size), mtime: String(mtimeNs) }
}

// ------------------------------------------------------------------------------------------------------ writing

/** The table of an index, in order and in pieces of any length. */
export type TablePieces = Iterable<Float64Array> | AsyncIterable<Float64Array>

/**
 * Writes an index file, whole or not at all; none of the table is held.
 *
 * @param head is asked for what the pieces are an index of when all were given; `parts` is 0 where it is left out
 * @throws UserError where the disk does not take it, or the facts are more than an index keeps
 */
export async function writeSampleIndex(
  path: string,
  table: TablePieces,
  head: () => Omit<SampleIndexHead, "count" | "parts"> & { readonly parts?: number },
): Promise<void> {
  await writeAtomically(path, indexChunks(path, table, head))
}

async function* indexChunks(
  path: string,
  table: TablePieces,
  headOf: Parameters<typeof writeSampleIndex>[2],
): AsyncGenerator<Uint8Array> {
  yield Buffer.from(magic)
  let values = 0
  for await (const piece of largePieces(table)) {
    yield sealed(piece, values)
    values += piece.length
  }
  const { parts = 0, ...rest } = headOf()
  const count = values - 1 - 2 * parts
  assert(count >= 0, "an index has one position more than samples")
  yield* trailerChunks(path, { ...rest, count, parts })
}

/** Pieces of a few values would each be a call of the system. */
async function* largePieces(table: TablePieces): AsyncGenerator<Float64Array> {
  let gathered: number[] = []
  for await (const piece of table) {
    if (gathered.length + piece.length >= largePiece) {
      if (gathered.length > 0) yield Float64Array.from(gathered)
      gathered = []
    }
    if (piece.length >= largePiece) yield piece
    else for (const value of piece) gathered.push(value)
  }
  yield Float64Array.from(gathered)
}

/** Values of 64 KiB. */
const largePiece = 2 ** 13

function* trailerChunks(path: string, head: SampleIndexHead): Generator<Uint8Array> {
  const bytes = Buffer.from(JSON.stringify(head))
  if (bytes.length > mostHeadBytes) {
    throw new UserError(
      `${path} is not written: what it would tell has ${bytes.length} bytes, more than ${mostHeadBytes}`,
    )
  }
  const trailer = Buffer.alloc(trailerBytes)
  trailer.writeUInt32LE(bytes.length, 0)
  trailer.writeUInt32LE(crc32(bytes), 4)
  trailer.write(magic, 8)
  yield bytes
  yield trailer
}

/** Values are smaller: 256 TiB. */
const tooLarge = 2 ** 48

const isLittleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1

/** @param first place of the first value in the table */
function sealed(values: Float64Array, first: number): Uint8Array {
  const words = new Uint32Array(2 * values.length)
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!
    assert(isSize(value) && value < tooLarge, "positions are whole, and below 256 TiB")
    const low = value >>> 0
    const high = (value - low) / 2 ** 32
    words[2 * i] = low
    words[2 * i + 1] = high | (hashOf(low, high, first + i) << 16)
  }
  const bytes = Buffer.from(words.buffer)
  return isLittleEndian ? bytes : bytes.swap32()
}

/** The values again; NaN for one that is damaged. */
function unseal(bytes: Buffer, first: number, values: Float64Array): void {
  for (let i = 0; i < values.length; i++) {
    const [low, word] = [bytes.readUInt32LE(8 * i), bytes.readUInt32LE(8 * i + 4)]
    const high = word & 0xffff
    values[i] = word >>> 16 === hashOf(low, high, first + i) ? low + 2 ** 32 * high : Number.NaN
  }
}

/** 16 bits that change with the value and with its place, mixed as in MurmurHash3. */
function hashOf(low: number, high: number, place: number): number {
  const hash = mixed(mixed(mixed(0, low), high), place)
  return (hash ^ (hash >>> 16)) & 0xffff
}

function mixed(hash: number, word: number): number {
  const next = Math.imul(hash ^ Math.imul(word, 0xcc9e2d51), 0x85ebca6b)
  return Math.imul(next ^ (next >>> 13), 0xc2b2ae35)
}

// ------------------------------------------------------------------------------------------------------ reading

/** Reads `length` values of a table from the `first` on. */
type TableReader = (first: number, length: number) => Float64Array

/** How many parts are read of a sample: one that has more has more members than a sample may have. */
const mostPartsRead = 2 ** 15

/** Where the samples of one file are. */
export class SampleIndex implements Disposable {
  /** @param name of the index, for messages */
  constructor(
    readonly name: string,
    readonly head: SampleIndexHead,
    private readonly read: TableReader,
    private readonly closeFile: (() => void) | null = null,
  ) {}

  /** Whether it holds a file open, and nothing else. */
  get isFile(): boolean {
    return this.closeFile !== null
  }

  close(): void {
    this.closeFile?.()
  }

  get count(): number {
    return this.head.count
  }

  get facts(): unknown {
    return this.head.facts
  }

  /** The same for those who have read the facts: those of damaged shards may be long. */
  withoutFacts(): SampleIndex {
    return new SampleIndex(this.name, { ...this.head, facts: null }, this.read, this.closeFile)
  }

  /** The bytes of a sample, in one run or several. Throws DamagedIndex, and UserError where it cannot be read. */
  extents(index: number): Extent[] {
    const { count, parts } = this.head
    assert(index >= 0 && index < count, `sample ${index} of ${count}`)
    const pair = this.read(index, 2)
    const [first, next] = [pair[0]!, pair[1]!]
    if (parts === 0) return [this.extent(first, next)]
    if (!(isSize(first) && isSize(next) && first < next && next <= parts)) throw this.damaged()
    const length = Math.min(next - first, mostPartsRead)
    const values = this.read(count + 1 + 2 * first, 2 * length)
    return Array.from({ length }, (_, i) => this.extent(values[2 * i]!, values[2 * i + 1]!))
  }

  [Symbol.dispose](): void {
    this.close()
  }

  private extent(start: number, end: number): Extent {
    if (isSize(start) && isSize(end) && start <= end && end <= this.head.file.bytes) return { start, end }
    throw this.damaged()
  }

  private damaged(): DamagedIndex {
    return new DamagedIndex(`${this.name} is a damaged index`)
  }
}

/** An index that no file holds: 8 bytes a sample in memory. */
export function sampleIndexOf(
  name: string,
  table: Float64Array,
  head: Omit<SampleIndexHead, "count" | "parts"> & { readonly parts?: number },
): SampleIndex {
  const { parts = 0 } = head
  const whole = { ...head, parts, count: table.length - 1 - 2 * parts }
  return new SampleIndex(name, whole, (first, length) => table.subarray(first, first + length))
}

/**
 * The index at `path`: its head is read, and the file stays open. Null where it is missing, cut or foreign, of another version
 * or format, or of a file of another size or time.
 */
export function openSampleIndex(path: string, format: string, of: FileStamp): SampleIndex | null {
  const file = openFile(path)
  if (file === null) return null
  try {
    const head = headIn(file)
    if (head?.format === format && head.file.bytes === of.bytes && head.file.mtime === of.mtime) {
      return new SampleIndex(path, head, tableReader(file, path), () => closeSync(file))
    }
  } catch {
    // It cannot be read, so it is as good as missing.
  }
  closeSync(file)
  return null
}

/** Whether a file was written here, as far as its first bytes tell, or is not there: it may be written over. */
export function isIndexFile(path: string): boolean {
  if (!existsSync(path)) return true
  const file = openFile(path)
  if (file === null) return false
  try {
    const found = fstatSync(file)
    if (!found.isFile()) return false
    return found.size === 0 || bytesAt(file, 0, magic.length).toString("latin1").startsWith(anyVersion)
  } catch {
    return false
  } finally {
    closeSync(file)
  }
}

/** Whoever may write to the folder may put a pipe there. */
function openFile(path: string): number | null {
  try {
    return openSync(path, readWithoutBlocking)
  } catch {
    return null
  }
}

function headIn(file: number): SampleIndexHead | null {
  const found = fstatSync(file)
  if (!found.isFile() || found.size < magic.length + trailerBytes) return null
  const trailer = bytesAt(file, found.size - trailerBytes, trailerBytes)
  const length = trailer.readUInt32LE(0)
  const start = found.size - trailerBytes - length
  if (trailer.toString("latin1", 8) !== magic || length > mostHeadBytes || start < magic.length) return null
  const bytes = bytesAt(file, start, length)
  const head = crc32(bytes) === trailer.readUInt32LE(4) ? jsonOrNull(bytes.toString("utf8")) : null
  const isWhole = isHead(head) && start === magic.length + tableBytes(head)
  return isWhole && bytesAt(file, 0, magic.length).toString("latin1") === magic ? head : null
}

function tableBytes({ count, parts }: SampleIndexHead): number {
  return 8 * (count + 1 + 2 * parts)
}

/** Whether it could have been written here: there are samples, and each has a byte of the file. */
function isHead(value: unknown): value is SampleIndexHead {
  if (!isObject(value) || !isObject(value.file)) return false
  const { format, file, count, parts } = value
  if (!isSize(file.bytes) || !isSize(count) || !isSize(parts)) return false
  const isPossible = count > 0 && count <= file.bytes && parts <= file.bytes
  return isPossible && typeof format === "string" && typeof file.mtime === "string"
}

/** What it gives lasts until it is called again: it is called for every sample. */
function tableReader(file: number, path: string): TableReader {
  const [pair, two] = [Buffer.alloc(16), new Float64Array(2)]
  const cut = () => new DamagedIndex(`${path} was cut while it was in use`)
  return (first, length) => {
    const [bytes, values] = length === 2 ? [pair, two] : [Buffer.alloc(8 * length), new Float64Array(length)]
    readAt(file, path, magic.length + 8 * first, bytes, cut)
    unseal(bytes, first, values)
    return values
  }
}

/** Throws where there are fewer. */
function bytesAt(file: number, position: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  readAt(file, "an index", position, bytes)
  return bytes
}
