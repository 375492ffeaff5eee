/** Makes the binary codes of a file of vectors, and goes on with those that are there. One process at a time. */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs"
import { scanAddonOrNull } from "../../../scan/index.ts"
import { float16ToFloat32 } from "../../core/arrays/half.ts"
import { fileError } from "../../host/files/file-error.ts"
import { openToRead, readAt, readWithoutBlocking } from "../../host/files/read-at.ts"
import { stagingPath } from "../../host/files/staging.ts"
import { inTurns, TurnClock } from "../../host/turns.ts"
import { AddonScanner } from "./addon-scanner.ts"
import {
  type CodesHeader,
  codesBlock,
  codesBlockBytes,
  codesOffset,
  codesPage,
  codeWords,
  headerBytes,
  readWholeHeader,
  vectorsDigest,
} from "./codes-file.ts"
import { measuredHits } from "./open-codes.ts"
import { measureRecall } from "./recall.ts"
import { type RowLayout, requireLayout, requireRows } from "./scan-request.ts"

/** Rows that the mean is of, spread over all. */
const meanRows = 65_536

/** Rows grow by this factor before the mean, and with it all codes, are made again. */
const meanGrowth = 4

/** Rows grow by this factor before it is measured again how many candidates are needed. */
const measureGrowth = 2
/** Candidates are doubled until so much of the best 20 is found of rows that are drawn, and doubled once more for other queries. */
const enoughRecall = 0.99
const leastCandidates = 500

export interface CodesOptions extends RowLayout {
  /** Rows [0, count) are to have codes. */
  readonly count: number
  readonly onProgress?: (done: number, total: number) => void
  readonly signal?: AbortSignal | undefined
}

/**
 * Makes codes of the rows that have none, and of those that had no vector and have one now. What is there already is kept while the
 * vectors are the same and their mean is not of a quarter of the rows. Readers may use the file meanwhile; a reader of a
 * shorter one goes on.
 *
 * @throws UserError where a file cannot be read or written; the signal's reason when it is aborted: what is done then counts
 */
export async function updateCodes(vectorsPath: string, codesPath: string, options: CodesOptions): Promise<void> {
  requireLayout(options)
  requireRows(options)
  const vectors = openToRead(vectorsPath)
  try {
    const digest = vectorsDigest(vectors, vectorsPath, options)
    const files = { vectors, vectorsPath, codesPath }
    if (isUsable(readHeader(codesPath), digest, options)) await extend(files, options)
    else await replace(files, digest, options)
    await measure(files, options)
  } finally {
    closeSync(vectors)
  }
}

/** Rows that have codes; 0 where there is no whole file of codes. */
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

/** Null where there is none, or the file is shorter than it says. */
function readHeader(path: string): CodesHeader | null {
  let descriptor: number
  try {
    descriptor = openSync(path, readWithoutBlocking)
  } catch {
    return null
  }
  try {
    return readWholeHeader(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

async function replace(files: Files, digest: Buffer, options: CodesOptions): Promise<void> {
  const staging = stagingPath(files.codesPath)
  try {
    await create({ ...files, codesPath: staging }, digest, options)
    renameSync(staging, files.codesPath)
  } finally {
    rmSync(staging, { force: true })
  }
}

/** Notes how many candidates these vectors need: where they lie close together, bits tell them apart less well. */
async function measure({ vectorsPath, codesPath }: Files, { dim, offset, count, signal }: CodesOptions): Promise<void> {
  const header = readHeader(codesPath)!
  const isKnown = header.candidates > 0 && header.measuredOf * measureGrowth > count
  if (!scanAddonOrNull || isKnown || count === 0) return
  let candidates = leastCandidates
  for (; candidates < count / 4; candidates *= 2) {
    signal?.throwIfAborted()
    const choice = { path: codesPath, use: "codes", candidates } as const
    const scanner = new AddonScanner(scanAddonOrNull, vectorsPath, { dim, offset }, choice)
    const measured = await measureRecall(scanner, { count, k: measuredHits }).finally(() => scanner.close())
    if (measured === null || measured.recall >= enoughRecall) break
  }
  const descriptor = openToWrite(codesPath, "r+")
  try {
    write(descriptor, codesPath, headerBytes({ ...header, candidates: 2 * candidates, measuredOf: count }), 0)
  } finally {
    closeSync(descriptor)
  }
}

async function create(files: Files, vectors: Buffer, options: CodesOptions): Promise<void> {
  const { dim, count } = options
  const descriptor = openToWrite(files.codesPath, "wx+")
  try {
    const mean = await inTurns(meanOf(files, options))
    const page = Buffer.alloc(codesOffset(dim) - codesPage)
    Buffer.from(mean.buffer).copy(page)
    write(descriptor, files.codesPath, page, codesPage)
    const header = headerBytes({ dim, count: 0, meanOf: count, vectors, candidates: 0, measuredOf: 0 })
    write(descriptor, files.codesPath, header, 0)
  } finally {
    closeSync(descriptor)
  }
  await extend(files, options)
}

async function extend(files: Files, options: CodesOptions): Promise<void> {
  const header = readHeader(files.codesPath)!
  const descriptor = openToWrite(files.codesPath, "r+")
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
  { vectors, vectorsPath, codesPath }: Files,
  codes: number,
  coder: RowCoder,
  coded: number,
  { dim, offset, count, onProgress, signal }: CodesOptions,
): Generator<void, void> {
  const clock = new TurnClock()
  const factors = new Float32Array(codesBlock)
  const bits = new Uint16Array(codesBlock * dim)
  const isCoded = (at: number, rows: number) => {
    readAt(codes, codesPath, at, new Uint8Array(factors.buffer))
    return !factors.subarray(0, rows).some(Number.isNaN)
  }
  for (let first = 0; first < count; first += codesBlock) {
    if (clock.isOver()) {
      signal?.throwIfAborted()
      onProgress?.(first, count)
      yield
    }
    const at = codesOffset(dim) + (first / codesBlock) * codesBlockBytes(dim)
    const rows = Math.min(codesBlock, count - first)
    if (first + rows <= coded && isCoded(at, rows)) continue
    const read = bits.subarray(0, rows * dim)
    readAt(vectors, vectorsPath, offset + first * dim * 2, new Uint8Array(read.buffer, 0, read.byteLength))
    write(codes, codesPath, coder.block(float16ToFloat32(read)), at)
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

/** The mean of rows spread over all; rows without a vector do not count. */
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

function openToWrite(path: string, flags: "r+" | "wx+"): number {
  try {
    return openSync(path, flags)
  } catch (error) {
    throw fileError(error, "writing", path)
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
