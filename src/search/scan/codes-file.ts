/**
 * The file of binary codes beside a file of vectors. Little endian: 4096 bytes of header; the mean [dim] in float32, filled up
 * to a multiple of 4096 bytes; then blocks of 64 rows, each of 64 factors in float32 and 64 codes of `words` 64-bit words.
 *
 * A row v is the mean plus d. Its code has a 1 where d >= 0; its factor is |d|^2 / sum |d_i|, so that for a query q, with s the
 * signs, q.mean + factor (q.s) estimates q.v and is exact for q = d (the estimator of RaBitQ, Gao and Long,
 * https://arxiv.org/abs/2405.12497, without its rotation). A row without a vector has the factor NaN.
 *
 * Header: magic [8], version u32, dim u32, rows f64, rows of which the mean was made f64, SHA-256 [32] of the vectors' header,
 * candidates f64 and the rows among which they were enough f64.
 */
import { createHash } from "node:crypto"
import { fstatSync, readSync } from "node:fs"
import { readAt } from "../../host/files/read-at.ts"
import type { RowLayout } from "./scan-request.ts"

export const codesPage = 4096
export const codesBlock = 64
const magic = "MCCODES\n"
const version = 1

export interface CodesHeader {
  readonly dim: number
  /** Rows [0, count) have codes. */
  readonly count: number
  /** Rows there were when the mean was made. */
  readonly meanOf: number
  /** Digest of the bytes before the vectors' first row: another file's codes are not taken. */
  readonly vectors: Buffer
  /** Rows that are to be scored exactly, of `measuredOf`, for nearly all of the best 20; 0: not measured. */
  readonly candidates: number
  readonly measuredOf: number
}

export function codeWords(dim: number): number {
  return Math.ceil(dim / 64)
}

/** Where the first block begins. */
export function codesOffset(dim: number): number {
  return codesPage + Math.ceil((dim * 4) / codesPage) * codesPage
}

export function codesBlockBytes(dim: number): number {
  return codesBlock * (4 + codeWords(dim) * 8)
}

export function headerBytes({ dim, count, meanOf, vectors, candidates, measuredOf }: CodesHeader): Buffer {
  const bytes = Buffer.alloc(codesPage)
  bytes.write(magic, "latin1")
  bytes.writeUInt32LE(version, 8)
  bytes.writeUInt32LE(dim, 12)
  bytes.writeDoubleLE(count, 16)
  bytes.writeDoubleLE(meanOf, 24)
  vectors.copy(bytes, 32)
  bytes.writeDoubleLE(candidates, 64)
  bytes.writeDoubleLE(measuredOf, 72)
  return bytes
}

/** Null where it is not a header of this version. */
function parseHeader(bytes: Buffer): CodesHeader | null {
  if (bytes.length < codesPage || bytes.toString("latin1", 0, 8) !== magic || bytes.readUInt32LE(8) !== version)
    return null
  const [dim, count, meanOf] = [bytes.readUInt32LE(12), bytes.readDoubleLE(16), bytes.readDoubleLE(24)]
  const isWhole = (value: number) => Number.isInteger(value) && value >= 0 && value < 2 ** 32
  const [candidates, measuredOf] = [bytes.readDoubleLE(64), bytes.readDoubleLE(72)]
  if (![count, meanOf, candidates, measuredOf].every(isWhole)) return null
  return { dim, count, meanOf, vectors: bytes.subarray(32, 64), candidates, measuredOf }
}

/** Null where the file is not one of codes, or is shorter than it says. */
export function readWholeHeader(descriptor: number): CodesHeader | null {
  const bytes = Buffer.alloc(codesPage)
  readSync(descriptor, bytes, 0, codesPage, 0)
  const header = parseHeader(bytes)
  return header && fstatSync(descriptor).size >= codesBytes(header) ? header : null
}

/** Bytes of a file whose rows all have their codes. */
function codesBytes({ dim, count }: CodesHeader): number {
  return codesOffset(dim) + Math.ceil(count / codesBlock) * codesBlockBytes(dim)
}

/** What the header of codes says of the vectors that they are of. */
export function vectorsDigest(descriptor: number, path: string, { offset }: RowLayout): Buffer {
  const bytes = new Uint8Array(offset)
  readAt(descriptor, path, 0, bytes)
  return createHash("sha256").update(bytes).digest()
}
