/**
 * Zip archives (also zip64), read in place: the directory says where every entry lies, and bytes are read when asked
 * for. The directory is yauzl's work; what it leaves to its caller is checked here (CRC-32, entries that overlap).
 */
import { crc32, inflateRawSync } from "node:zlib"
import { fromRandomAccessReaderPromise, RandomAccessReader, type Entry as YauzlEntry, type ZipFile } from "yauzl"
import { Budget } from "../../core/budget.ts"
import { messageOf, oneLine, quoted, UserError } from "../../core/errors.ts"
import type { RandomAccess } from "../../core/random-access.ts"

export interface ZipEntry {
  readonly name: string
  readonly method: "stored" | "deflated"
  /** Bytes in the archive. */
  readonly compressedSize: number
  /** Bytes of the content. */
  readonly size: number
  /** Checksum of the content; 0 where the writer did not compute it. */
  readonly crc32: number
  /** Where in the archive the entry's bytes begin. */
  readonly dataStart: number
}

/** Deflate makes at most this many bytes of one. */
const largestExpansion = 1032

/** Bytes that a directory may take: 1,000 entries, and one more for each 256 bytes of the archive. */
const directoryBudget = (size: number) => 2 ** 20 + 4 * size

/** Bytes of an entry in memory, as measured: yauzl's object and ours. */
const entryCost = 1024

/** Bytes that are read at a time for a checksum alone. */
const piece = 2 ** 20

const hint = "the file is damaged or incomplete: get or write it again"

/**
 * The entries of an archive by name, in the directory's order, without reading their data. Every entry lies
 * within the archive, and no two overlap. Throws UserError on anything else.
 */
export async function readZipDirectory(source: RandomAccess): Promise<Map<string, ZipEntry>> {
  const entries = new Map<string, ZipEntry>()
  const found = await listEntries(source)
  checkOverlaps(source, found)
  for (const entry of found) {
    if (entries.has(entry.name)) fail(source, `${quoted(entry.name)} appears twice`)
    entries.set(entry.name, entry)
  }
  return entries
}

/**
 * The content of an entry, inflated and checked. Throws UserError where it is not what the directory says, or more than
 * `budget` has left for it: entries may inflate to 1,000 times their bytes each.
 */
export function readZipEntry(source: RandomAccess, entry: ZipEntry, budget: Pick<Budget, "take">): Uint8Array {
  budget.take(entry.size, quoted(entry.name))
  const stored = source.read(entry.dataStart, entry.compressedSize)
  const content = entry.method === "stored" ? stored : inflate(source, entry, stored)
  checkCrc(source, entry, content)
  return content
}

/** Throws UserError where the whole content of an entry has another CRC-32 than the directory says. */
export function checkCrc(source: RandomAccess, entry: ZipEntry, content: Uint8Array): void {
  if (entry.crc32 === 0 || crc32(content) === entry.crc32) return
  throw wrongChecksum(source, entry)
}

/** The same for a stored entry that is not read as a whole: it is read in pieces, which are not kept. */
export function checkStoredCrc(source: RandomAccess, entry: ZipEntry): void {
  let found = 0
  for (let begin = 0; begin < entry.size; begin += piece) {
    found = crc32(source.read(entry.dataStart + begin, Math.min(piece, entry.size - begin)), found)
  }
  if (entry.crc32 !== 0 && found !== entry.crc32) throw wrongChecksum(source, entry)
}

function wrongChecksum(source: RandomAccess, entry: ZipEntry): UserError {
  return new UserError(`${source.name}: ${quoted(entry.name)} has a wrong checksum (CRC-32)`, hint)
}

async function listEntries(source: RandomAccess): Promise<ZipEntry[]> {
  const entries: ZipEntry[] = []
  const raw: YauzlEntry[] = []
  try {
    const archive = await fromRandomAccessReaderPromise(new SourceReader(source), source.size, { autoClose: false })
    checkCount(source, archive.entryCount)
    for await (const entry of archive.eachEntry()) {
      raw.push(entry)
      if (!entry.fileName.endsWith("/")) entries.push(await locate(source, archive, entry))
    }
    checkEnd(source, Number(archive.readEntryCursor))
    checkOverlaps(source, entries)
    for (const entry of raw) checkName(source, entry)
  } catch (error) {
    if (error instanceof UserError) throw error
    const reason = oneLine(messageOf(error), 200)
    throw new UserError(`${source.name}: the zip archive is damaged or cut short (${reason})`, hint, { cause: error })
  }
  return entries
}

/** An entry takes 30 bytes before its data and 46 in the directory, and its name in both. */
function checkCount(source: RandomAccess, count: number): void {
  if (count * 78 > source.size) fail(source, `${count} entries do not fit into ${source.size} bytes`)
  new Budget(directoryBudget(source.size), source.name).take(count * entryCost, `a directory of ${count} entries`)
}

async function locate(source: RandomAccess, archive: ZipFile, entry: YauzlEntry): Promise<ZipEntry> {
  const { fileName: name, compressedSize, uncompressedSize: size, crc32 } = entry
  if (entry.isEncrypted()) fail(source, `${quoted(name)} is encrypted`)
  if (entry.compressionMethod !== 0 && entry.compressionMethod !== 8) {
    fail(source, `${quoted(name)} is compressed by method ${entry.compressionMethod}, not stored or deflated`)
  }
  const method = entry.compressionMethod === 0 ? "stored" : "deflated"
  if (size > compressedSize * largestExpansion) fail(source, `${quoted(name)} cannot inflate to ${size} bytes`)
  const { fileDataStart: dataStart } = await archive.readLocalFileHeaderPromise(entry, { minimal: true })
  return { name, method, compressedSize, size, crc32, dataStart }
}

/** The directory has no checksum, but the name stands before the data too. */
function checkName(source: RandomAccess, entry: YauzlEntry): void {
  const local = source.read(entry.relativeOffsetOfLocalHeader + 30, entry.fileNameLength)
  if (Buffer.compare(local, entry.fileNameRaw) !== 0) {
    fail(source, `${quoted(entry.fileName)} has another name before its data`)
  }
}

/** After the announced number of entries there must not be another one. */
function checkEnd(source: RandomAccess, position: number): void {
  const next = position + 4 <= source.size ? source.read(position, 4) : new Uint8Array(4)
  if (Buffer.from(next).readUInt32LE() === 0x02014b50) fail(source, "it has more entries than it announces")
}

function checkOverlaps(source: RandomAccess, entries: readonly ZipEntry[]): void {
  let end = 0
  for (const entry of entries.toSorted((a, b) => a.dataStart - b.dataStart)) {
    if (entry.dataStart < end) fail(source, `${quoted(entry.name)} overlaps another entry`)
    end = entry.dataStart + entry.compressedSize
  }
}

function inflate(source: RandomAccess, entry: ZipEntry, stored: Uint8Array): Uint8Array {
  const content = inflated(source, entry, stored)
  if (content.length !== entry.size) {
    fail(source, `${quoted(entry.name)} inflates to ${content.length} bytes instead of ${entry.size}`)
  }
  return content
}

/** Size of the buffer to inflate into: it holds everything, so that it is not joined from several. */
function chunkSizeOf({ size }: ZipEntry): number {
  return Math.min(Math.max(size + 1, 64), 2 ** 30)
}

function inflated(source: RandomAccess, entry: ZipEntry, stored: Uint8Array): Uint8Array {
  try {
    return inflateRawSync(stored, { maxOutputLength: Math.max(entry.size, 1), chunkSize: chunkSizeOf(entry) })
  } catch (error) {
    fail(source, `${quoted(entry.name)} cannot be inflated: ${messageOf(error)}`)
  }
}

/** What yauzl reads through. */
class SourceReader extends RandomAccessReader {
  constructor(private readonly source: RandomAccess) {
    super()
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    done: (error: Error | null) => void,
  ): void {
    try {
      if (position + length > this.source.size) throw new Error("it ends too early")
      buffer.set(this.source.read(position, length), offset)
      done(null)
    } catch (error) {
      done(error as Error)
    }
  }
}

function fail(source: RandomAccess, what: string): never {
  throw new UserError(`${source.name}: ${what}`, hint)
}
