/**
 * Vectors in a file: 64 bytes of header, float32 rows (little-endian), and the SHA-256 of all before it. It is written while
 * vectors come, under a hidden name, and has its own name when it is complete.
 */
import { createHash } from "node:crypto"
import { type FileHandle, open, rename } from "node:fs/promises"
import { dirname } from "node:path"
import { assert } from "../../core/errors.ts"
import { fileError } from "../../host/files/file-error.ts"
import { discard, makeDirectory } from "../../host/files/files.ts"
import { removeAbandonedOnce, stagingPath } from "../../host/files/staging.ts"

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
    await writer.append(headerOf(width))
    return writer
  }

  /** @param rows [any number, width] */
  async write(rows: Float32Array): Promise<void> {
    await this.append(new Uint8Array(rows.buffer, rows.byteOffset, rows.byteLength))
  }

  /** The file has its name when this returns. */
  async commit(): Promise<void> {
    await this.file.write(this.hash.digest())
    await this.file.sync()
    await this.file.close()
    await rename(this.staging, this.path)
  }

  /** For what is not complete; after `commit` it does nothing. */
  async abandon(): Promise<void> {
    await this.file.close().catch(() => {})
    await discard(this.staging)
  }

  private async append(bytes: Uint8Array): Promise<void> {
    this.hash.update(bytes)
    for (let done = 0; done < bytes.length; ) done += (await this.file.write(bytes, done)).bytesWritten
  }
}

/** A file that was found whole. */
export class VectorFile {
  constructor(
    private readonly path: string,
    readonly rows: number,
    readonly width: number,
  ) {}

  /** All rows in order, some megabytes at a time. Throws UserError where the file is gone. */
  async *blocks(): AsyncGenerator<Float32Array> {
    const file = await open(this.path, "r").catch((error: unknown) => {
      // Another process may have made room meanwhile.
      throw fileError(error, "reading", this.path)
    })
    const rowBytes = 4 * this.width
    const rowsAtOnce = Math.max(1, Math.floor(blockBytes / rowBytes))
    try {
      for (let row = 0; row < this.rows; row += rowsAtOnce) {
        const count = Math.min(rowsAtOnce, this.rows - row)
        const block = new Float32Array(count * this.width)
        const bytes = new Uint8Array(block.buffer)
        const read = await readAt(file, bytes, headerBytes + row * rowBytes)
        assert(read === bytes.length, `${this.path} changed while it was read`)
        yield block
      }
    } finally {
      await file.close()
    }
  }

  /** [rows, width] */
  async all(): Promise<Float32Array> {
    const whole = new Float32Array(this.rows * this.width)
    let at = 0
    for await (const block of this.blocks()) {
      whole.set(block, at)
      at += block.length
    }
    return whole
  }
}

/** Null where there is no such file, or it is not whole. */
export async function openVectorFile(path: string, width: number): Promise<VectorFile | null> {
  const file = await open(path, "r").catch(() => null)
  if (!file) return null
  try {
    const dataBytes = (await file.stat()).size - headerBytes - digestBytes
    if (dataBytes < 0 || dataBytes % (4 * width) !== 0) return null
    return (await isWhole(file, width, headerBytes + dataBytes))
      ? new VectorFile(path, dataBytes / (4 * width), width)
      : null
  } catch {
    return null
  } finally {
    await file.close()
  }
}

async function isWhole(file: FileHandle, width: number, end: number): Promise<boolean> {
  const hash = createHash("sha256")
  const buffer = new Uint8Array(blockBytes)
  for (let at = 0; at < end; ) {
    const block = buffer.subarray(0, Math.min(blockBytes, end - at))
    if ((await readAt(file, block, at)) !== block.length) return false
    if (at === 0 && !headerOf(width).every((byte, i) => block[i] === byte)) return false
    hash.update(block)
    at += block.length
  }
  const digest = new Uint8Array(digestBytes)
  await readAt(file, digest, end)
  return hash.digest().equals(digest)
}

async function readAt(file: FileHandle, bytes: Uint8Array, position: number): Promise<number> {
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
