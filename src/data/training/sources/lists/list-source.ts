/** The bytes of a list: those of a small one are in memory, and a large one is read where it is. */
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs"
import { UserError } from "../../../../core/errors.ts"
import { encodingOf, type TextEncoding } from "../../../../core/text/decode-text.ts"
import { fileError } from "../../../../host/files/file-error.ts"
import { readBytes, requireFile, requireSmall } from "../../../../host/files/files.ts"
import { unpacked } from "../../../reinforced/jsonl/lines.ts"
import { type FileStamp, stampOf } from "../../../sample-index/index-file.ts"

export interface ListSource {
  readonly path: string
  readonly stamp: FileStamp
  readonly isInMemory: boolean
  readonly encoding: TextEncoding
  /** Bytes of the byte-order mark. */
  readonly mark: number
  /** Throws UserError where the list ends before that, or was written to since it was opened. */
  read(start: number, end: number): Buffer
  /** All of it, in pieces. */
  chunks(): AsyncIterable<Uint8Array>
  /** Throws UserError where the file was written to since it was opened. */
  check(): void
  close(): void
}

/**
 * Throws UserError on what is not a file that can be read.
 *
 * @param smallest a file of fewer bytes is read into memory
 */
export async function openListSource(path: string, smallest: number): Promise<ListSource> {
  await requireFile(path)
  const stamp = stampOf(path)
  if (stamp.bytes >= smallest) return new FileSource(path, stamp)
  const bytes = await readBytes(path, requireSmall(path, 2 * smallest))
  return memorySource(path, stamp, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
}

/** @param chunkBytes length of the pieces */
export function memorySource(path: string, stamp: FileStamp, bytes: Buffer, chunkBytes = 2 ** 20): ListSource {
  return {
    path,
    stamp: { ...stamp, bytes: bytes.length },
    isInMemory: true,
    ...formOf(bytes, path),
    read: (start, end) => bytes.subarray(start, end),
    chunks: async function* () {
      for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes)
    },
    check: () => {},
    close: () => {},
  }
}

function formOf(beginning: Uint8Array, path: string): Pick<ListSource, "encoding" | "mark"> {
  const encoding = encodingOf(beginning, path)
  if (encoding !== "utf-8") return { encoding, mark: 2 }
  const hasMark = beginning[0] === 0xef && beginning[1] === 0xbb && beginning[2] === 0xbf
  return { encoding, mark: hasMark ? 3 : 0 }
}

/** How often it is looked at whether the file was written to, in milliseconds. */
const lookInterval = 1000

class FileSource implements ListSource {
  readonly isInMemory = false
  readonly encoding: TextEncoding
  readonly mark: number
  private readonly descriptor: number
  private looked = 0
  private isOpen = true

  constructor(
    readonly path: string,
    readonly stamp: FileStamp,
  ) {
    this.descriptor = openSync(path, constants.O_RDONLY)
    try {
      const { encoding, mark } = formOf(this.read(0, Math.min(64, stamp.bytes)), path)
      ;[this.encoding, this.mark] = [encoding, mark]
    } catch (error) {
      this.close()
      throw error
    }
  }

  read(start: number, end: number): Buffer {
    const now = performance.now()
    if (now - this.looked > lookInterval) {
      this.check()
      this.looked = now
    }
    const bytes = Buffer.allocUnsafe(end - start)
    for (let done = 0; done < bytes.length; ) {
      const count = this.readSome(bytes, done, start + done)
      if (count === 0) throw this.changed()
      done += count
    }
    return bytes
  }

  chunks(): AsyncIterable<Uint8Array> {
    return unpacked(this.path, "none")
  }

  check(): void {
    const { size, mtimeNs } = fstatSync(this.descriptor, { bigint: true })
    if (Number(size) !== this.stamp.bytes || String(mtimeNs) !== this.stamp.mtime) throw this.changed()
  }

  close(): void {
    if (this.isOpen) closeSync(this.descriptor)
    this.isOpen = false
  }

  private readSome(bytes: Buffer, done: number, position: number): number {
    try {
      return readSync(this.descriptor, bytes, done, bytes.length - done, position)
    } catch (error) {
      throw fileError(error, "reading", this.path)
    }
  }

  private changed(): UserError {
    return changedList(this.path)
  }
}

export function changedList(path: string): UserError {
  return new UserError(
    `${path} was changed while it was in use`,
    "start again when it is complete: it is read anew then",
  )
}
