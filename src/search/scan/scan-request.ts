/** What a scanner is asked and what it answers, and the checks of it. */
import { dirname } from "node:path"
import { kindOf, requireCount } from "../../core/arguments.ts"
import { UserError } from "../../core/errors.ts"
import { indexCommand } from "../store/index-command.ts"

export interface ScanRequest {
  /** [dim], unit length */
  readonly query: Float32Array
  /** Rows [0, count) are looked at. */
  readonly count: number
  readonly k: number
  /** Default: the processors that this process may use. */
  readonly threads?: number
  /** Only rows that come strictly after this one in the order (score descending, position ascending). */
  readonly after?: { readonly score: number; readonly position: number }
  /** Bit p (least significant first) is 1 where row p may be a hit; absent: all. */
  readonly mask?: Uint8Array
  /** Without binary codes, also where the scanner would use them. */
  readonly exact?: boolean
}

/** Best first; equal scores by position. */
export interface Hits {
  readonly positions: Uint32Array
  readonly scores: Float32Array
}

export interface PairsRequest {
  /** Rows [0, count) are looked at. */
  readonly count: number
  readonly threshold: number
  readonly mask?: Uint8Array
  readonly threads?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (done: number, total: number) => void
}

/** Pairs of rows a < b, by a and then by b. */
export interface Pairs {
  readonly a: Uint32Array
  readonly b: Uint32Array
  readonly scores: Float32Array
}

/**
 * Reads a file of float16 rows, which may grow meanwhile. Rows with NaN are never hits. A row's score is the same number in
 * every scan, in `scores` and in pairs, whatever the threads; kinds and kernels differ by rounding, at most 1e-6 for unit
 * vectors.
 *
 * All methods throw UserError where the file is shorter than its rows (also when it is cut while it is read), or cannot be read
 * any more; those of a scanner that `openScanner` gave also where a request does not fit (`CheckedScanner`).
 */
export interface Scanner {
  readonly dim: number
  readonly kind: "addon" | "wasm" | "lancedb"
  scan(request: ScanRequest): Promise<Hits>
  /** The same for several queries in one pass, which takes less than one after the other; exact. */
  scanMany(queries: readonly Float32Array[], request: Omit<ScanRequest, "query" | "after">): Promise<Hits[]>
  /** Whether a scan of so many rows uses binary codes. */
  usesCodes(count: number): boolean
  /** Cosines of single rows: the same numbers as in a scan; NaN where there is no vector. */
  scores(query: Float32Array, positions: Uint32Array): Promise<Float32Array>
  /** [positions, dim] */
  read(positions: Uint32Array): Promise<Float32Array>
  /** All pairs a < b of rows [0, count) with cosine >= threshold. Throws the signal's reason when it is aborted. */
  nearPairs(request: PairsRequest): Promise<Pairs>
  close(): void
}

/** A file's rows: [N, dim] float16 from byte `offset` on. */
export interface RowLayout {
  readonly dim: number
  readonly offset: number
}

const mostRows = 2 ** 32 - 1

/** Whether a row may be a hit. */
export function isSet(mask: Uint8Array | undefined, row: number): boolean {
  return mask === undefined || ((mask[row >>> 3]! >> (row & 7)) & 1) === 1
}

export function requireLayout({ dim, offset }: RowLayout): void {
  requireCount("dim", dim)
  if (dim > 65_536) throw new UserError(`dim must be at most 65536, not ${dim}`)
  if (Number.isSafeInteger(offset) && offset >= 0 && offset % 2 === 0) return
  throw new UserError(`offset must be an even number of bytes from 0 on, not ${kindOf(offset)}`)
}

export function requireScan(request: Omit<ScanRequest, "query">): void {
  requireRows(request)
  requireCount("k", request.k)
  const { after } = request
  if (after === undefined) return
  const isPlace = typeof after?.score === "number" && !Number.isNaN(after.score) && isRow(after.position)
  if (!isPlace)
    throw new UserError("after must be { score, position } of a hit", "give the last hit of the page before")
}

/** What scans and pairs have in common. */
export function requireRows({ count, threads, mask }: Pick<ScanRequest, "count" | "threads" | "mask">): void {
  if (!isRow(count)) throw new UserError(`count must be a whole number of rows, not ${kindOf(count)}`)
  requireCount("threads", threads)
  if (mask === undefined) return
  if (!(mask instanceof Uint8Array)) throw new UserError(`mask must be a Uint8Array, not ${kindOf(mask)}`)
  if (mask.length * 8 >= count) return
  throw new UserError(`mask has ${mask.length * 8} bits for ${count} rows`, "give a bit for each row")
}

export function requireQuery(query: unknown, dim: number): void {
  if (!(query instanceof Float32Array)) throw new UserError(`query must be a Float32Array, not ${kindOf(query)}`)
  if (query.length !== dim) {
    const hint = "encode the query with the model that made the vectors"
    throw new UserError(`query has ${query.length} numbers, and the vectors have ${dim}`, hint)
  }
  if (!query.every(Number.isFinite)) throw new UserError("query has a number that is not finite", "encode it again")
}

export function requirePositions(positions: unknown): void {
  if (positions instanceof Uint32Array) return
  throw new UserError(`positions must be a Uint32Array, not ${kindOf(positions)}`)
}

export function requirePairs(request: PairsRequest): void {
  requireRows(request)
  if (Number.isFinite(request.threshold)) return
  throw new UserError(`threshold must be a number, not ${kindOf(request.threshold)}`)
}

/** What is thrown where the file ends before its rows. */
export function shortFile(path: string, size: number, expected: number): UserError {
  return new UserError(
    `${path} has ${size} bytes, where its rows take ${expected}: it was cut`,
    `check the index: ${verifyCommand(path)}; what is missing is encoded again`,
  )
}

/** @param path of the index's vectors */
export function verifyCommand(path: string): string {
  return indexCommand(dirname(path), "verify")
}

export function tooManyPairs(threshold: number): UserError {
  return new UserError(`more than ${mostPairs} pairs are as near as ${threshold}`, "give a higher threshold")
}

/** More are not an answer, and would take all memory. */
export const mostPairs = 2 ** 25

function isRow(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= mostRows
}
