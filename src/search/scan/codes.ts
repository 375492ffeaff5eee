/** Makes the binary codes of a file of vectors, and goes on with those that are there. One process at a time. */
import { closeSync, fsyncSync, openSync, readSync, renameSync, rmSync, writeSync } from "node:fs"
import { float16ToFloat32 } from "../../core/arrays/half.ts"
import { fileError } from "../../host/files/file-error.ts"
import { readAt, readWithoutBlocking } from "../../host/files/read-at.ts"
import { stagingPath } from "../../host/files/staging.ts"
import { inTurns, TurnClock } from "../../host/turns.ts"
import {
  type CodesHeader,
  codesBlock,
  codesBlockBytes,
  codesOffset,
  codesPage,
  codeWords,
  headerBytes,
  parseHeader,
  vectorsDigest,
} from "./codes-file.ts"
import { type RowLayout, requireLayout, requireRows } from "./scan-request.ts"

/** Rows that the mean is of, spread over all. */
const meanRows = 65_536

/** Rows grow by this factor before the mean, and with it all codes, are made again. */
const meanGrowth = 4

export interface CodesOptions extends RowLayout {
  /** Rows [0, count) are to have codes. */
  readonly count: number
  readonly onProgress?: (done: number, total: number) => void
  readonly signal?: AbortSignal
}

/**
 * Codes of the rows that have none, and of those that had no vector and have one now. What is there already is kept while the
 * vectors are the same and their mean is not of a quarter of the rows. Readers may use the file meanwhile; a reader of a
 * shorter one goes on.
 *
 * @throws UserError where a file cannot be read or written; the signal's reason when it is aborted: what is done then counts
 */
export async function updateCodes(vectorsPath: string, codesPath: string, options: CodesOptions): Promise<void> {
  requireLayout(options)
  requireRows(options)
  const vectors = opened(vectorsPath, readWithoutBlocking, "reading")
  try {
    const digest = vectorsDigest(vectors, vectorsPath, options)
    if (isUsable(readHeader(codesPath), digest, options))
      return await extend({ vectors, vectorsPath, codesPath }, options)
    const staging = stagingPath(codesPath)
    try {
      await create({ vectors, vectorsPath, codesPath: staging }, digest, options)
      renameSync(staging, codesPath)
    } finally {
      rmSync(staging, { force: true })
    }
  } finally {
    closeSync(vectors)
  }
}

/** Whether codes are behind the rows. */
export function codedRows(codesPath: string): number {
  return readHeader(codesPath)?.count ?? 0
}

interface Files {
  readonly vectors: number
  readonly vectorsPath: string
  readonly codesPath: string
}

function isUsable(header: CodesHeader | null, digest: Buffer, { dim, count }: CodesOptions): boolean {
  return (
    header?.dim === dim && header.vectors.equals(digest) && header.meanOf * meanGrowth >= count && header.meanOf > 0
  )
}

function readHeader(path: string): CodesHeader | null {
  let descriptor: number
  try {
    descriptor = openSync(path, readWithoutBlocking)
  } catch {
    return null
  }
  try {
    const bytes = Buffer.alloc(codesPage)
    readSync(descriptor, bytes, 0, codesPage, 0)
    return parseHeader(bytes)
  } finally {
    closeSync(descriptor)
  }
}

async function create(files: Files, vectors: Buffer, options: CodesOptions): Promise<void> {
  const { dim, count } = options
  const descriptor = opened(files.codesPath, "wx+", "writing")
  try {
    const mean = await inTurns(meanOf(files, options))
    const page = Buffer.alloc(codesOffset(dim) - codesPage)
    Buffer.from(mean.buffer).copy(page)
    write(descriptor, files.codesPath, page, codesPage)
    write(descriptor, files.codesPath, headerBytes({ dim, count: 0, meanOf: count, vectors }), 0)
  } finally {
    closeSync(descriptor)
  }
  await extend(files, options)
}

async function extend(files: Files, options: CodesOptions): Promise<void> {
  const header = readHeader(files.codesPath)!
  const descriptor = opened(files.codesPath, "r+", "writing")
  try {
    const mean = new Float32Array(options.dim)
    readAt(descriptor, files.codesPath, codesPage, new Uint8Array(mean.buffer))
    await inTurns(writeBlocks(files, descriptor, new RowCoder(mean), header.count, options))
    if (options.count <= header.count) return
    fsyncSync(descriptor)
    write(descriptor, files.codesPath, headerBytes({ ...header, count: options.count }), 0)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** Writes blocks that are not complete, or that have a row without a vector which has one now. */
function* writeBlocks(
  files: Files,
  descriptor: number,
  coder: RowCoder,
  coded: number,
  { dim, offset, count, onProgress, signal }: CodesOptions,
): Generator<void, void> {
  const clock = new TurnClock()
  const blockBytes = codesBlockBytes(dim)
  const factors = new Float32Array(codesBlock)
  const bits = new Uint16Array(codesBlock * dim)
  for (let first = 0; first < count; first += codesBlock) {
    const at = codesOffset(dim) + (first / codesBlock) * blockBytes
    const rows = Math.min(codesBlock, count - first)
    if (clock.isOver()) {
      signal?.throwIfAborted()
      onProgress?.(first, count)
      yield
    }
    if (first + rows <= coded) {
      readAt(descriptor, files.codesPath, at, new Uint8Array(factors.buffer))
      if (!factors.subarray(0, rows).some(Number.isNaN)) continue
    }
    const read = bits.subarray(0, rows * dim)
    readAt(files.vectors, files.vectorsPath, offset + first * dim * 2, new Uint8Array(read.buffer, 0, read.byteLength))
    write(descriptor, files.codesPath, coder.block(float16ToFloat32(read)), at)
  }
  onProgress?.(count, count)
}

/** Codes of rows whose mean is known. */
class RowCoder {
  private readonly words: number

  constructor(private readonly mean: Float32Array) {
    this.words = codeWords(mean.length)
  }

  /** @param values [rows, dim], at most a block */
  block(values: Float32Array): Uint8Array {
    const dim = this.mean.length
    const bytes = new Uint8Array(codesBlockBytes(dim))
    const factors = new Float32Array(bytes.buffer, 0, codesBlock)
    for (let row = 0; row * dim < values.length; row++) {
      const code = bytes.subarray(codesBlock * 4 + row * this.words * 8, codesBlock * 4 + (row + 1) * this.words * 8)
      factors[row] = this.code(values, row * dim, code)
    }
    return bytes
  }

  /** Sets the bits of a row and returns its factor: 0 for the mean itself. */
  private code(values: Float32Array, start: number, code: Uint8Array): number {
    const { mean } = this
    let [squares, sum] = [0, 0]
    for (let i = 0; i < mean.length; i++) {
      const d = values[start + i]! - mean[i]!
      squares += d * d
      if (d < 0) sum -= d
      else {
        sum += d
        code[i >>> 3]! |= 1 << (i & 7)
      }
    }
    return sum === 0 ? 0 : squares / sum
  }
}

/** Of rows spread over all; rows without a vector do not count. */
function* meanOf(
  { vectors, vectorsPath }: Files,
  { dim, offset, count, signal }: CodesOptions,
): Generator<void, Float32Array> {
  const clock = new TurnClock()
  const sums = new Float64Array(dim)
  const step = Math.max(1, Math.floor(count / meanRows))
  let rows = 0
  const bits = new Uint16Array(dim)
  for (let row = 0; row < count; row += step) {
    if (clock.isOver()) {
      signal?.throwIfAborted()
      yield
    }
    readAt(vectors, vectorsPath, offset + row * dim * 2, new Uint8Array(bits.buffer))
    const values = float16ToFloat32(bits)
    if (Number.isNaN(values[0])) continue
    for (let i = 0; i < dim; i++) sums[i]! += values[i]!
    rows++
  }
  return Float32Array.from(sums, (sum) => (rows === 0 ? 0 : sum / rows))
}

function opened(path: string, flags: string | number, action: "reading" | "writing"): number {
  try {
    return openSync(path, flags)
  } catch (error) {
    throw fileError(error, action, path)
  }
}

function write(descriptor: number, path: string, bytes: Uint8Array, position: number): void {
  try {
    for (let done = 0; done < bytes.length; )
      done += writeSync(descriptor, bytes, done, bytes.length - done, position + done)
  } catch (error) {
    throw fileError(error, "writing", path)
  }
}
