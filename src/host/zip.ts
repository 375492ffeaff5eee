/**
 * Zip archives, for torch's and numpy's files: the directory by yauzl, which reads neither more nor less; the content of
 * an entry on demand, in one synchronous read, its checksum compared.
 */
import { crc32, inflateRawSync } from "node:zlib"
import yauzl from "yauzl"
import { messageOf, UserError } from "../core/errors.ts"
import type { RandomAccess } from "../core/safetensors.ts"

export interface ZipEntry {
  readonly name: string
  /** In bytes, uncompressed. */
  readonly size: number
  readonly compressedSize: number
  readonly deflated: boolean
  /** 0 where the writer left it out. */
  readonly crc32: number
  /** Where in the file its bytes begin. */
  readonly offset: number
}

export class ZipArchive {
  private constructor(
    private readonly source: RandomAccess,
    /** In the order of the directory. */
    readonly entries: ReadonlyMap<string, ZipEntry>,
  ) {}

  /** Reads the directory. Throws UserError when it is damaged. */
  static async open(source: RandomAccess): Promise<ZipArchive> {
    const entries = new Map<string, ZipEntry>()
    try {
      const zip = await yauzl.fromRandomAccessReaderPromise(new Reader(source), source.size, { autoClose: false })
      for await (const entry of zip.eachEntry()) {
        const { fileDataStart } = await zip.readLocalFileHeaderPromise(entry, { minimal: true })
        entries.set(entry.fileName, checked(entry, fileDataStart, source))
      }
    } catch (error) {
      if (error instanceof UserError) throw error
      throw damaged(source, messageOf(error).replaceAll(/\s+/g, " "))
    }
    return new ZipArchive(source, entries)
  }

  /** The content of an entry. Throws UserError when it is not what the directory says. */
  read(entry: ZipEntry): Uint8Array {
    const stored = this.source.read(entry.offset, entry.compressedSize)
    const bytes = entry.deflated ? this.inflate(stored, entry) : stored
    if (bytes.length !== entry.size)
      throw damaged(this.source, `${entry.name} has ${bytes.length} bytes, not ${entry.size}`)
    if (entry.crc32 !== 0 && crc32(bytes) !== entry.crc32)
      throw damaged(this.source, `${entry.name} has another checksum`)
    return bytes
  }

  /** Some bytes of an entry that is not deflated, unchecked. */
  readRange(entry: ZipEntry, begin: number, length: number): Uint8Array {
    if (entry.deflated) return this.read(entry).slice(begin, begin + length)
    return this.source.read(entry.offset + begin, length)
  }

  private inflate(bytes: Uint8Array, entry: ZipEntry): Uint8Array {
    try {
      return inflateRawSync(bytes, { maxOutputLength: Math.max(1, entry.size) })
    } catch (error) {
      throw damaged(this.source, `${entry.name} cannot be inflated (${messageOf(error)})`)
    }
  }
}

/** Deflate makes at most 1032 bytes of one. */
const largestRatio = 1032

function checked(entry: yauzl.Entry, offset: number, source: RandomAccess): ZipEntry {
  const { fileName: name, compressedSize, uncompressedSize: size, compressionMethod: method } = entry
  if (method !== 0 && method !== 8) throw damaged(source, `${name} is compressed by method ${method}`)
  if (entry.isEncrypted()) throw damaged(source, `${name} is encrypted`)
  if (offset + compressedSize > source.size) throw damaged(source, `${name} ends behind the file`)
  const possible = method === 0 ? size === compressedSize : size <= compressedSize * largestRatio
  if (!possible) throw damaged(source, `${name} cannot have ${size} bytes, stored in ${compressedSize}`)
  return { name, size, compressedSize, deflated: method === 8, crc32: entry.crc32, offset }
}

function damaged(source: RandomAccess, what: string): UserError {
  return new UserError(`${source.name}: the zip archive is damaged: ${what}`, "get or write the file again")
}

class Reader extends yauzl.RandomAccessReader {
  constructor(private readonly source: RandomAccess) {
    super()
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null) => void,
  ): void {
    try {
      if (position < 0 || position + length > this.source.size) throw new Error("it points outside of the file")
      buffer.set(this.source.read(position, length), offset)
    } catch (error) {
      callback(error as Error)
      return
    }
    callback(null)
  }

  override close(callback: (error: Error | null) => void): void {
    callback(null)
  }
}
