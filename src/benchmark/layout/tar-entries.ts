/**
 * The files in a tar archive in one pass. The archive goes through two buffers in turn, of which one is filled while the other
 * is looked at; what is wanted is copied once. Archives of small pictures have a header for every few hundred bytes, for which
 * tar-stream, which serves everywhere else, takes longest: measured, a picture of 2.5 KB with its label takes 7 microseconds
 * here, and 20 to 40 there. Understood are ustar, GNU's long names and PAX.
 */
import { isUtf8 } from "node:buffer"
import { constants } from "node:fs"
import { type FileHandle, open } from "node:fs/promises"
import { quoted, UserError } from "../../core/errors.ts"
import { largestSample, longestKey } from "../../data/reinforced/sample-budget.ts"
import { fileError } from "../../host/files/file-error.ts"
import { requireFile } from "../../host/files/files.ts"

export interface TarEntry {
  readonly name: string
  readonly bytes: Uint8Array
}

type Wants = (name: string) => "own" | "shared" | null

const block = 512
/** Bytes that are read at once; headers never lie across two pieces. */
const pieceBytes = 2 ** 20
/** Bytes of a long name, or of the fields of an extended header. */
const longestHeader = 2 ** 20

/**
 * The files of an archive in their order, as many at a time as a piece completes.
 *
 * @param wants tells by the name whether a file is read; "own": its bytes get an ArrayBuffer of their own, which takes longer
 * @param where what messages call the archive
 * @throws UserError where it is cut off, damaged, or not a tar archive
 */
export async function* tarEntries(path: string, wants: Wants, where: string): AsyncGenerator<TarEntry[]> {
  await requireFile(path)
  const file = await open(path, constants.O_RDONLY).catch((error: unknown) => {
    throw fileError(error, "reading", path)
  })
  const buffers = [Buffer.allocUnsafeSlow(pieceBytes), Buffer.allocUnsafeSlow(pieceBytes)] as const
  let ahead: Promise<Buffer> | null = null
  try {
    const { size } = await file.stat()
    await requireEnd(file, size, where)
    const parser = new TarParser(size, wants, where)
    const read = (piece: number) => {
      const [start, buffer] = [piece * pieceBytes, buffers[piece % 2]!]
      return start < size ? readPiece(file, start, buffer.subarray(0, size - start), where) : null
    }
    ahead = read(0)
    for (let piece = 0; ahead && !parser.isDone; piece++) {
      const bytes: Buffer = await ahead
      ahead = read(piece + 1)
      // Its error is thrown when its turn comes.
      ahead?.catch(() => {})
      yield parser.take(bytes)
    }
    parser.end()
  } catch (error) {
    throw fileError(error, "reading", path)
  } finally {
    await ahead?.catch(() => {})
    await file.close()
  }
}

async function readPiece(file: FileHandle, start: number, piece: Buffer, where: string): Promise<Buffer> {
  for (let done = 0; done < piece.length; ) {
    const { bytesRead } = await file.read(piece, done, piece.length - done, start + done)
    if (bytesRead === 0) throw new UserError(`${where} became shorter while it was read`, "run again")
    done += bytesRead
  }
  return piece
}

/** An archive ends with blocks of zeros, so one that was cut off does not, unless it was cut within zeros. */
async function requireEnd(file: FileHandle, size: number, where: string): Promise<void> {
  if (size === 0) throw new UserError(`${where} is empty`, "a tar archive was expected")
  const last = Buffer.alloc(block)
  if (size >= block) await file.read(last, 0, block, size - block)
  if (size >= block && last.every((byte) => byte === 0)) return
  throw cutOff(where, `no end mark after ${size} bytes`)
}

function cutOff(where: string, what: string): UserError {
  return new UserError(
    `${where} is not a complete tar archive (${what})`,
    "it was cut off, is compressed, or is another kind of file: get it again",
  )
}

/** A file, a long name or extended fields whose bytes are not all there yet. */
interface Begun {
  readonly kind: "file" | "name" | "fields"
  readonly name: string
  readonly bytes: Uint8Array
  filled: number
}

class TarParser {
  isDone = false
  /** Position in the archive of the next byte to be looked at. */
  private at = 0
  private begun: Begun | null = null
  /** Bytes to be passed over: what is not wanted, and the rest of a file's last block. */
  private skip = 0
  private longName: string | null = null
  private longSize: number | null = null

  constructor(
    private readonly size: number,
    private readonly wants: Wants,
    private readonly where: string,
  ) {}

  /** The files that this piece completes. */
  take(piece: Buffer): TarEntry[] {
    const entries: TarEntry[] = []
    for (let from = 0; from < piece.length && !this.isDone; ) {
      const before = from
      if (this.begun) from += this.fill(piece.subarray(from), entries)
      else if (this.skip > 0) {
        from += Math.min(this.skip, piece.length - from)
        this.skip -= from - before
      } else if (from + block <= piece.length) {
        this.header(piece.subarray(from, from + block), entries)
        from += block
      } else throw cutOff(this.where, `it ends within a header`)
      this.at += from - before
    }
    return entries
  }

  end(): void {
    if (!this.isDone) throw cutOff(this.where, "no end mark")
  }

  /** Returns how many of the bytes belong to the file that was begun. */
  private fill(rest: Uint8Array, entries: TarEntry[]): number {
    const begun = this.begun!
    const count = Math.min(rest.length, begun.bytes.length - begun.filled)
    begun.bytes.set(rest.subarray(0, count), begun.filled)
    begun.filled += count
    if (begun.filled === begun.bytes.length) {
      this.begun = null
      this.complete(begun, entries)
    }
    return count
  }

  private header(head: Buffer, entries: TarEntry[]): void {
    if (head[0] === 0 && head.every((byte) => byte === 0)) {
      this.isDone = true
      return
    }
    if (!isHeader(head)) throw cutOff(this.where, `no header at byte ${this.at}`)
    const kind = kindOf(head[156]!)
    const isFile = kind === "file" || kind === "other"
    const name = isFile ? (this.longName ?? nameIn(head)) : ""
    const size = (isFile ? this.longSize : null) ?? sizeIn(head)
    if (isFile) [this.longName, this.longSize] = [null, null]
    this.checkEntry(kind, name, size)
    this.skip = -size & (block - 1)
    const wanted = kind === "file" ? this.wants(name) : kind === "other" ? null : "shared"
    if (wanted === null) this.skip += size
    else if (kind !== "other") {
      const bytes = wanted === "own" ? Buffer.allocUnsafeSlow(size) : Buffer.allocUnsafe(size)
      this.begun = { kind, name, bytes, filled: 0 }
      // One without bytes is complete.
      this.fill(head.subarray(0, 0), entries)
    }
  }

  private checkEntry(kind: Begun["kind"] | "other", name: string, size: number): void {
    if (!Number.isSafeInteger(size) || size < 0) throw cutOff(this.where, `a damaged size at byte ${this.at}`)
    if (this.at + block + size > this.size) throw cutOff(this.where, `it ends within ${quoted(name)}`)
    if (name.length > longestKey)
      throw new UserError(`${this.where}: a name has ${name.length} letters, more than ${longestKey}`)
    if (kind === "file" && size > largestSample && this.wants(name))
      throw new UserError(`${this.where}: ${quoted(name)} has ${size} bytes, more than ${largestSample}`)
    if (kind !== "file" && kind !== "other" && size > longestHeader)
      throw cutOff(this.where, `an extended header of ${size} bytes`)
  }

  private complete({ kind, name, bytes }: Begun, entries: TarEntry[]): void {
    if (kind === "file") entries.push({ name, bytes })
    else if (kind === "name") this.longName = textOf(withoutZeros(bytes))
    else {
      const fields = paxFields(bytes)
      this.longName = fields.path ?? this.longName
      this.longSize = fields.size ?? this.longSize
    }
  }
}

const digits = { zero: 0x30, seven: 0x37, space: 0x20 }

/** Whether the checksum is that of the bytes; some old programs added them as signed. */
function isHeader(head: Uint8Array): boolean {
  let [unsigned, signed] = [8 * digits.space, 8 * digits.space]
  for (let i = 0; i < block; i++) {
    if (i >= 148 && i < 156) continue
    const byte = head[i]!
    unsigned += byte
    signed += byte > 127 ? byte - 256 : byte
  }
  const found = octal(head, 148, 156)
  return found === unsigned || found === signed
}

/** A number in octal digits, with blanks or zeros around; NaN for anything else. */
function octal(head: Uint8Array, start: number, end: number): number {
  let [value, at] = [0, start]
  while (at < end && head[at] === digits.space) at++
  for (; at < end && head[at]! >= digits.zero && head[at]! <= digits.seven; at++)
    value = 8 * value + head[at]! - digits.zero
  for (; at < end; at++) if (head[at] !== 0 && head[at] !== digits.space) return Number.NaN
  return value
}

/** From 8 GiB on it is a binary number, whose first bit is set. */
function sizeIn(head: Buffer): number {
  if (head[124] !== 0x80) return octal(head, 124, 136)
  let value = 0
  for (let i = 125; i < 136; i++) value = 256 * value + head[i]!
  return value
}

function kindOf(flag: number): Begun["kind"] | "other" {
  switch (String.fromCharCode(flag)) {
    case "0":
    case "\0":
    case "7":
      return "file"
    case "L":
      return "name"
    case "x":
      return "fields"
    default:
      return "other"
  }
}

/** POSIX splits a long path in two; GNU has other fields in that place. */
function nameIn(head: Buffer): string {
  const name = textOf(withoutZeros(head.subarray(0, 100)))
  const isPosix = head.toString("latin1", 257, 263) === "ustar\0"
  const prefix = isPosix && head[345] !== 0 ? textOf(withoutZeros(head.subarray(345, 500))) : ""
  return prefix === "" ? name : `${prefix}/${name}`
}

function withoutZeros(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0)
  return end < 0 ? bytes : bytes.subarray(0, end)
}

/** UTF-8; a name that is something else keeps a letter for each byte. */
function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString(isUtf8(bytes) ? "utf8" : "latin1")
}

/** `19 path=s0000001.jpg\n`, ...: the length counts the whole field. Fields that are damaged end the list. */
function paxFields(bytes: Uint8Array): { readonly path?: string; readonly size?: number } {
  const found: { path?: string; size?: number } = {}
  for (let start = 0; start < bytes.length; ) {
    const head = /^(\d+) ([^=]*)=/.exec(Buffer.from(bytes.subarray(start, start + 200)).toString("latin1"))
    const length = Number(head?.[1])
    if (!head || length <= head[0].length || start + length > bytes.length) break
    const value = textOf(bytes.subarray(start + head[0].length, start + length - 1))
    if (head[2] === "path") found.path = value
    else if (head[2] === "size") found.size = Number(value)
    start += length
  }
  return found
}
