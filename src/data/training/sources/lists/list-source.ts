/** The bytes of a list: those of a small one are in memory, and a large one is read where it is. */
import { closeSync, openSync, read } from "node:fs"
import { promisify } from "node:util"
import { UserError } from "../../../../core/errors.ts"
import { noProgress, ofLongWork, type StartProgress } from "../../../../core/progress.ts"
import { encodingOf, type TextEncoding } from "../../../../core/text/decode-text.ts"
import { fileError } from "../../../../host/files/file-error.ts"
import { requireFile } from "../../../../host/files/files.ts"
import { readAt, readWithoutBlocking } from "../../../../host/files/read-at.ts"
import { type FileStamp, stampOf } from "../../../sample-index/index-file.ts"

export interface ListSource {
  readonly path: string
  readonly stamp: FileStamp
  /** Ends a pass over the list. */
  readonly signal?: AbortSignal | undefined
  readonly isInMemory: boolean
  readonly encoding: TextEncoding
  /** Bytes of byte-order marks at the beginning. */
  readonly mark: number
  /** Throws UserError where the list ends before that, or was written to since it was opened. */
  read(start: number, end: number): Buffer
  /** All of it, in pieces. */
  chunks(): AsyncIterable<Uint8Array>
  /** Throws UserError where the file was written to since it was opened. */
  check(): void
  close(): void
}

export interface PassOptions {
  /** Is shown a pass over the list that takes some seconds. */
  readonly startProgress?: StartProgress | undefined
  /** Ends a pass over the list. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Throws UserError on what is not a file that can be read.
 *
 * @param smallest a file of fewer bytes is read into memory
 */
export async function openListSource(path: string, smallest: number, options: PassOptions = {}): Promise<ListSource> {
  await requireFile(path)
  const source = new FileSource(path, options)
  if (source.stamp.bytes >= smallest) return source
  try {
    return memorySource(path, source.stamp, source.read(0, source.stamp.bytes))
  } finally {
    source.close()
  }
}

/** @param chunkBytes length of the pieces */
export function memorySource(
  path: string,
  stamp: FileStamp,
  bytes: Buffer,
  chunkBytes: number = pieceBytes,
): ListSource {
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

/** A text in UTF-16 may have a mark of its own after that of the file. */
function formOf(beginning: Uint8Array, path: string): Pick<ListSource, "encoding" | "mark"> {
  const encoding = encodingOf(beginning, path)
  if (encoding === "utf-8") return { encoding, mark: markOf(beginning) }
  const text = new TextDecoder(encoding).decode(beginning.subarray(0, 4))
  return { encoding, mark: text === "\ufeff" ? 4 : 2 }
}

function markOf([first, second, third]: Uint8Array): number {
  return first === 0xef && second === 0xbb && third === 0xbf ? 3 : 0
}

/** Rows of a piece are looked at without a pause: a few milliseconds. */
const pieceBytes = 2 ** 18

/** How often it is looked at whether the file was written to, in milliseconds. */
const lookInterval = 1000

const readAsync = promisify(read)

class FileSource implements ListSource {
  readonly isInMemory = false
  readonly stamp: FileStamp
  readonly encoding: TextEncoding
  readonly mark: number
  readonly signal: AbortSignal | undefined
  private readonly startProgress: StartProgress
  private readonly descriptor: number
  private looked = 0
  private isOpen = true

  constructor(
    readonly path: string,
    { startProgress = noProgress, signal }: PassOptions,
  ) {
    ;[this.startProgress, this.signal] = [startProgress, signal]
    this.descriptor = opened(path)
    try {
      this.stamp = stampOf(this.descriptor)
      const { encoding, mark } = formOf(this.read(0, Math.min(64, this.stamp.bytes)), path)
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
    readAt(this.descriptor, this.path, start, bytes, () => changedList(this.path))
    return bytes
  }

  /** The next one is read while one is used. Throws the signal's reason. */
  async *chunks(): AsyncGenerator<Uint8Array> {
    const start = ofLongWork(this.startProgress, secondsUnshown)
    const shown = start(`reading ${this.path}`, megabytes(this.stamp.bytes), { unit: "MB" })
    let next = this.chunk(0)
    try {
      for (let at = 0; at < this.stamp.bytes; ) {
        const bytes = await next
        this.signal?.throwIfAborted()
        at += bytes.length
        next = this.chunk(at)
        yield bytes
        shown.update(megabytes(at))
      }
      shown.done()
    } finally {
      await next.catch(() => {})
    }
  }

  private async chunk(start: number): Promise<Buffer> {
    const length = Math.min(pieceBytes, this.stamp.bytes - start)
    if (length === 0) return Buffer.alloc(0)
    const { bytesRead, buffer } = await readAsync(this.descriptor, Buffer.allocUnsafe(length), 0, length, start).catch(
      (error: unknown) => {
        throw fileError(error, "reading", this.path)
      },
    )
    if (bytesRead === 0) throw changedList(this.path)
    return buffer.subarray(0, bytesRead)
  }

  check(): void {
    const { bytes, mtime } = stampOf(this.descriptor)
    if (bytes !== this.stamp.bytes || mtime !== this.stamp.mtime) throw changedList(this.path)
  }

  close(): void {
    if (this.isOpen) closeSync(this.descriptor)
    this.isOpen = false
  }
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1e6)
}

/** Most lists are read by then. */
const secondsUnshown = 5

function opened(path: string): number {
  try {
    return openSync(path, readWithoutBlocking)
  } catch (error) {
    throw fileError(error, "reading", path)
  }
}

function changedList(path: string): UserError {
  return new UserError(
    `${path} was changed while it was in use`,
    "start again when it is complete: it is read anew then",
  )
}
