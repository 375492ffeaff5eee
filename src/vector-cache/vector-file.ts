/**
 * Vectors in a file: 64 bytes of header, float32 rows (little-endian), and the SHA-256 of all before it. It is written while
 * vectors come, under a hidden name, and has its own name when it is complete.
 */
import { createHash } from "node:crypto"
import { type FileHandle, open, rename } from "node:fs/promises"
import { dirname } from "node:path"
import { assert } from "../core/errors.ts"
import { discard, makeDirectory } from "../host/files/files.ts"
import { readWithoutBlocking } from "../host/files/read-at.ts"
import { removeAbandonedOnce, stagingPath } from "../host/files/staging.ts"

const headerBytes = 64
const digestBytes = 32
const blockBytes = 2 ** 22

export class VectorWriter {
  private readonly hash = createHash("sha256")

  private constructor(
    private readonly path: string,
    private readonly staging: string,
    private readonly file: FileHandle,
  ) {}

  /** Throws the system's errors, as its methods do. */
  static async create(path: string, width: number): Promise<VectorWriter> {
    await makeDirectory(dirname(path))
    await removeAbandonedOnce(dirname(path))
    const staging = stagingPath(path)
    const writer = new VectorWriter(path, staging, await open(staging, "wx"))
    try {
      await writer.append(headerOf(width))
      return writer
    } catch (error) {
      await writer.abandon()
      throw error
    }
  }

  /** @param rows [any number, width] */
  async write(rows: Float32Array): Promise<void> {
    await this.append(new Uint8Array(rows.buffer, rows.byteOffset, rows.byteLength))
  }

  /** The file has its name when this returns. */
  async commit(): Promise<void> {
    await this.append(this.hash.digest(), false)
    await this.file.sync()
    await this.file.close()
    await rename(this.staging, this.path)
  }

  /** For what is not complete; after `commit` it does nothing. */
  async abandon(): Promise<void> {
    await this.file.close().catch(() => {})
    await discard(this.staging)
  }

  private async append(bytes: Uint8Array, counts = true): Promise<void> {
    if (counts) this.hash.update(bytes)
    for (let done = 0; done < bytes.length; ) done += (await this.file.write(bytes, done)).bytesWritten
  }
}

/** A file that was found whole. It stays open, because another process may remove it to make room, or replace it. */
export interface VectorFile extends AsyncDisposable {
  readonly rows: number
  readonly width: number
  /** All rows in order, some megabytes at a time. */
  blocks(): AsyncGenerator<Float32Array>
  /** [rows, width] */
  all(): Promise<Float32Array>
}

/** Not exported: the package's types name nothing of Node's. */
class OpenedFile implements VectorFile {
  constructor(
    private readonly file: FileHandle,
    readonly rows: number,
    readonly width: number,
  ) {}

  async *blocks(): AsyncGenerator<Float32Array> {
    const rowBytes = 4 * this.width
    const rowsAtOnce = Math.max(1, Math.floor(blockBytes / rowBytes))
    for (let row = 0; row < this.rows; row += rowsAtOnce) {
      const block = new Float32Array(Math.min(rowsAtOnce, this.rows - row) * this.width)
      const bytes = new Uint8Array(block.buffer)
      const read = await fill(this.file, bytes, headerBytes + row * rowBytes)
      assert(read === bytes.length, "a file of vectors changed while it was read")
      yield block
    }
  }

  async all(): Promise<Float32Array> {
    const whole = new Float32Array(this.rows * this.width)
    let at = 0
    for await (const block of this.blocks()) {
      whole.set(block, at)
      at += block.length
    }
    return whole
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.file.close()
  }
}

/** Null where there is no such file, it is not whole, or it has values that are not numbers. Others may have written it. */
export async function openVectorFile(path: string, width: number): Promise<VectorFile | null> {
  const file = await open(path, readWithoutBlocking).catch(() => null)
  const found = file && (await wholeFile(file, width).catch(() => null))
  if (!found) await file?.close()
  return found
}

async function wholeFile(file: FileHandle, width: number): Promise<VectorFile | null> {
  const found = await file.stat()
  const dataBytes = found.size - headerBytes - digestBytes
  if (!found.isFile() || dataBytes < 0 || dataBytes % (4 * width) !== 0) return null
  return (await isWhole(file, width, headerBytes + dataBytes))
    ? new OpenedFile(file, dataBytes / (4 * width), width)
    : null
}

async function isWhole(file: FileHandle, width: number, end: number): Promise<boolean> {
  const hash = createHash("sha256")
  const buffer = new Uint8Array(blockBytes)
  for (let at = 0; at < end; ) {
    const block = buffer.subarray(0, Math.min(blockBytes, end - at))
    if ((await fill(file, block, at)) !== block.length) return false
    if (at === 0 && !headerOf(width).every((byte, i) => block[i] === byte)) return false
    const values = new Float32Array(
      buffer.buffer,
      at === 0 ? headerBytes : 0,
      (block.length - (at === 0 ? headerBytes : 0)) / 4,
    )
    if (!values.every(Number.isFinite)) return false
    hash.update(block)
    at += block.length
  }
  const digest = new Uint8Array(digestBytes)
  await fill(file, digest, end)
  return hash.digest().equals(digest)
}

/** What is read at its places: Node's handle of a file, whose type would ask users for Node's types. */
interface ReadablePlaces {
  read(bytes: Uint8Array, at: number, length: number, position: number): Promise<{ readonly bytesRead: number }>
}

/** Fills `bytes` as far as the file goes, and says how far. */
export async function fill(file: ReadablePlaces, bytes: Uint8Array, position: number): Promise<number> {
  let done = 0
  while (done < bytes.length) {
    const { bytesRead } = await file.read(bytes, done, bytes.length - done, position + done)
    if (bytesRead === 0) break
    done += bytesRead
  }
  return done
}

function headerOf(width: number): Uint8Array {
  return new TextEncoder().encode(`mobileclip-vectors 1 ${width}`.padEnd(headerBytes - 1).concat("\n"))
}
