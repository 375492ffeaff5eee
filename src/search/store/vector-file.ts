/**
 * The file of a generation's vectors: a header of 4096 bytes, then float16 rows of unit length, little endian, one after the
 * other. It only grows; a row that is to be forgotten is overwritten with NaN, which no search finds. How many rows count is
 * written in the index, so what a writer that was killed left beyond that is overwritten by the next one.
 */
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  writeSync,
} from "node:fs"
import { dirname } from "node:path"
import { float32ToFloat16 } from "../../core/arrays/half.ts"
import { assert, UserError } from "../../core/errors.ts"
import { isObject, isSize, jsonOrNull } from "../../core/json.ts"
import { fileError } from "../../host/files/file-error.ts"
import { readWithoutBlocking } from "../../host/files/read-at.ts"
import { repairHint } from "./index-command.ts"

/** Bytes before the first vector: a page, so that rows lie where the system maps them. */
export const vectorOffset = 4096

const magic = "MCLIPVEC"
const version = 1

/** What the rows were made by, for people and for a check: it is also in the index. */
export interface VectorHeader {
  readonly dim: number
  readonly model: string
  readonly identity: string
  readonly settings: Readonly<Record<string, unknown>>
}

/** The header cannot be read, and can be written again: rows are where they were. */
export class DamagedHeaderError extends UserError {}

/** Throws DamagedHeaderError where the file is not one; UserError where it is of a newer version, or cannot be read. */
export function readVectorHeader(path: string): VectorHeader {
  const bytes = Buffer.alloc(vectorOffset)
  const length = reading(path, (file) => readSync(file, bytes, 0, vectorOffset, 0))
  return parseHeader(bytes.subarray(0, length), path)
}

function parseHeader(bytes: Buffer, path: string): VectorHeader {
  const text = bytes.subarray(magic.length).toString("utf8").replace(/\0*$/, "")
  const value = bytes.length === vectorOffset && bytes.toString("latin1", 0, 8) === magic ? jsonOrNull(text) : null
  if (isObject(value) && isSize(value.version) && value.version > version) {
    throw new UserError(
      `${path} is of version ${value.version}, and this program reads version ${version}`,
      "update mobileclip (`npm install mobileclip@latest`)",
    )
  }
  if (isHeader(value)) return value
  const what = "is not a file of vectors, or its beginning is damaged"
  throw new DamagedHeaderError(`${path} ${what}`, repairHint(dirname(path)))
}

/** Without a schema's library, which would take a tenth of the time in which a command answers a query. */
function isHeader(value: unknown): value is VectorHeader {
  if (!isObject(value) || value.version !== version || value.dtype !== "float16") return false
  const { dim, model, identity, settings } = value
  return isSize(dim) && dim > 0 && typeof model === "string" && typeof identity === "string" && isObject(settings)
}

/** Throws UserError where the vectors are of another model than the index says, or not vectors. */
export function requireVectorsOf(path: string, { dim, identity }: Pick<VectorHeader, "dim" | "identity">): void {
  const found = readVectorHeader(path)
  if (found.dim === dim && found.identity === identity) return
  throw new UserError(
    `${path} has vectors of ${found.dim} values by another model than the index says`,
    "the files are of different indexes: restore the folder from one copy, or make the index again",
  )
}

function headerBytes(values: VectorHeader): Buffer {
  const text = JSON.stringify({ version, dtype: "float16", ...values })
  const bytes = Buffer.alloc(vectorOffset)
  bytes.write(magic, "latin1")
  assert(Buffer.byteLength(text) <= vectorOffset - magic.length, "the header of a vector file fits")
  bytes.write(text, magic.length, "utf8")
  return bytes
}

/** Rows that the file has room for, complete ones only. */
export function rowsInFile(path: string, dim: number): number {
  const size = reading(path, (file) => fstatSync(file).size)
  return Math.max(0, Math.floor((size - vectorOffset) / (2 * dim)))
}

/** A unit vector's length is off by less: each value is rounded by 2^-11 of itself at most. */
export const lengthTolerance = 2e-3

/** In float16. */
const nan = 0x7e00
const rowsAtOnce = 4096

/** Those of the first `count` rows that are NaN, which have no vector, in their order; also from a file that was cut. */
export function rowsWithoutVector(path: string, dim: number, count: number): number[] {
  const rows = Math.min(count, rowsInFile(path, dim))
  return reading(path, (file) => {
    const missing: number[] = []
    for (let first = 0; first < rows; first += rowsAtOnce) {
      const bits = new Uint16Array(Math.min(rowsAtOnce, rows - first) * dim)
      readSync(file, bits, 0, bits.byteLength, vectorOffset + first * dim * 2)
      for (let i = 0; i < bits.length; i += dim) if (isNan(bits[i]!)) missing.push(first + i / dim)
    }
    return missing
  })
}

/** Whether a value of float16 is not a number, as are those of a row without a vector. @param half its bits */
export function isNan(half: number): boolean {
  return (half & 0x7fff) > 0x7c00
}

/** Appends and overwrites rows. One at a time per file: its index is locked. */
export class VectorWriter implements Disposable {
  private readonly file: number

  /** Makes the file where it is not there. Throws UserError where it is another model's, or cannot be written. */
  constructor(
    readonly path: string,
    private readonly values: VectorHeader,
  ) {
    // Neither "a", which writes at the end only, nor "w", which empties the file.
    this.file = inFile(path, "writing", () => openSync(path, constants.O_RDWR | constants.O_CREAT, 0o644))
    try {
      requireRegular(this.file, path)
      if (fstatSync(this.file).size < vectorOffset) this.begin()
      else this.check()
    } catch (error) {
      closeSync(this.file)
      throw error
    }
  }

  /** Row `first` and those after it; what has no vector is a row of NaN. Normalised rows [N, dim]. On the disk when it returns. */
  write(first: number, rows: Float32Array): void {
    const { dim } = this.values
    assert(rows.length % dim === 0, `rows are ${dim} wide`)
    this.fill(first)
    const bits = float32ToFloat16(rows)
    const bytes = new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength)
    this.put(bytes, vectorOffset + first * dim * 2)
    this.sync()
  }

  /** These rows become NaN; they are on the disk after `sync`. @param rows in their order */
  erase(rows: readonly number[]): void {
    const { dim } = this.values
    for (let i = 0; i < rows.length; ) {
      let end = i + 1
      while (end < rows.length && rows[end] === rows[end - 1]! + 1 && end - i < rowsAtOnce) end++
      const bits = new Uint16Array((end - i) * dim).fill(nan)
      this.put(new Uint8Array(bits.buffer), vectorOffset + rows[i]! * dim * 2)
      i = end
    }
  }

  sync(): void {
    inFile(this.path, "writing", () => fdatasyncSync(this.file))
  }

  /** A file whose header cannot be read gets it again. Throws UserError where it is another model's. */
  static restored(path: string, values: VectorHeader): VectorWriter {
    try {
      return new VectorWriter(path, values)
    } catch (error) {
      if (!(error instanceof DamagedHeaderError)) throw error
      const file = inFile(path, "writing", () => openSync(path, constants.O_RDWR))
      try {
        inFile(path, "writing", () => writeSync(file, headerBytes(values), 0, vectorOffset, 0))
      } finally {
        closeSync(file)
      }
      return new VectorWriter(path, values)
    }
  }

  /** Rows that are not there up to `count` become NaN: a hole would be zeros, which are found. */
  fill(count: number): void {
    const { dim } = this.values
    const rows = Math.max(0, Math.floor((fstatSync(this.file).size - vectorOffset) / (2 * dim)))
    for (let first = rows; first < count; first += rowsAtOnce) {
      const bits = new Uint16Array(Math.min(rowsAtOnce, count - first) * dim).fill(nan)
      this.put(new Uint8Array(bits.buffer), vectorOffset + first * dim * 2)
    }
    if (rows < count) this.sync()
  }

  /** Cuts what is beyond the first `count` rows. */
  cut(count: number): void {
    const end = vectorOffset + count * this.values.dim * 2
    inFile(this.path, "writing", () => {
      if (fstatSync(this.file).size > end) ftruncateSync(this.file, end)
    })
  }

  [Symbol.dispose](): void {
    closeSync(this.file)
  }

  private begin(): void {
    this.put(headerBytes(this.values), 0)
    this.sync()
    syncFolder(dirname(this.path))
  }

  private check(): void {
    requireVectorsOf(this.path, this.values)
  }

  private put(bytes: Uint8Array, position: number): void {
    inFile(this.path, "writing", () => {
      for (let done = 0; done < bytes.length; )
        done += writeSync(this.file, bytes, done, bytes.length - done, position + done)
    })
  }
}

/** Throws UserError where the file is missing, or none: what it had is encoded again. */
function reading<T>(path: string, work: (file: number) => T): T {
  return inFile(path, "reading", () => {
    const file = openToRead(path)
    try {
      requireRegular(file, path)
      return work(file)
    } finally {
      closeSync(file)
    }
  })
}

/** A pipe without a writer would be waited for. */
function openToRead(path: string): number {
  try {
    return openSync(path, readWithoutBlocking)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error
    throw new UserError(`${path} is missing`, repairHint(dirname(path)), { cause: error })
  }
}

function requireRegular(file: number, path: string): void {
  if (fstatSync(file).isFile()) return
  throw new UserError(`${path} is not a file`, `remove it; ${repairHint(dirname(path))}`)
}

/** A name is on the disk when its folder is: after a power failure the database would name a file that is not there. */
export function syncFolder(path: string): void {
  // Windows opens no folder.
  if (process.platform === "win32") return
  inFile(path, "writing", () => {
    const folder = openSync(path, "r")
    try {
      fsyncSync(folder)
    } finally {
      closeSync(folder)
    }
  })
}

function inFile<T>(path: string, action: "reading" | "writing", work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw fileError(error, action, path)
  }
}
