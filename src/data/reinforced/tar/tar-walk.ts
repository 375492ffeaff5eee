/**
 * The entries of a tar archive by their heads alone: from each the next one is found by the size, and what lies between is not
 * read. Extended headers are read whole, because they say the names and sizes of the entries after them.
 */
import { quoted } from "../../../core/errors.ts"
import type { RandomAccess } from "../../../core/random-access.ts"
import { longestKey } from "../sample-budget.ts"
import { blockBytes, decodeName, parseHead, parseLongName, parsePax, type TarHead } from "./tar-head.ts"

export interface TarEntry {
  /** The path in the archive. */
  readonly name: string
  readonly type: TarHead["type"]
  readonly size: number
  /** Where its first head is: that of its name where that has one. */
  readonly start: number
  /** Where what it holds begins. */
  readonly offset: number
  /** Where the next one begins. */
  readonly end: number
  /** The header that sets names or sizes of all entries after it, if one came before. */
  readonly global: Span | null
}

interface Span {
  readonly start: number
  readonly end: number
}

/** Bytes of an extended header. */
const mostHeaderBytes = 4 * 2 ** 20

/** Fields of an extended header, with those that hold for the whole archive: about 20 exist. */
const mostFields = 1000

/** Reads one archive, in one run or in several in order, which may leave out entries. */
export class TarWalk {
  private readonly window: Window
  private global: { readonly fields: ReadonlyMap<string, string>; readonly span: Span } | null = null
  private pending: { start: number; name?: string; fields?: ReadonlyMap<string, string> } | null = null

  constructor(private readonly source: RandomAccess) {
    this.window = new Window(source)
  }

  /** Throws Error where the archive is damaged, and the source's errors. */
  *entries(start?: number, end?: number): Generator<TarEntry> {
    for (const entry of this.steps(start, end)) if (entry) yield entry
  }

  /** The same, with null for each head that is not an entry's: a damaged archive may have nothing else, and have it without end. */
  *steps(start = 0, end = this.source.size): Generator<TarEntry | null> {
    let at = start
    while (at < end) {
      if (end - at < blockBytes) throw endOfData()
      const head = this.window.head(at)
      const entry = head && !isAbout(head) ? this.entryOf(head, at) : null
      if (entry) at = entry.end
      else at = head ? this.takeHeader(head, at, end) : at + blockBytes
      yield entry
    }
    if (at > end) throw endOfData()
  }

  /** An entry that is about others -> where the next one begins. */
  private takeHeader({ type, size }: TarHead, at: number, end: number): number {
    if (size !== null && size > mostHeaderBytes) throw new Error("Header exceeds max size")
    if (size === null || !(size >= 0)) throw new Error("Invalid header")
    const offset = at + blockBytes
    if (offset + size > end) throw endOfData()
    const next = offset + padded(size)
    const bytes = () => this.window.content(offset, size)
    if (type === "global") this.global = { fields: parsePax(bytes()), span: { start: at, end: next } }
    else {
      this.pending ??= { start: at }
      if (type === "long-name") this.pending.name = parseLongName(bytes())
      if (type === "pax") this.pending.fields = this.withGlobal(parsePax(bytes()))
    }
    return next
  }

  private withGlobal(own: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
    const { global } = this
    return global ? new Map([...checkFields(global.fields), ...own]) : own
  }

  private entryOf(head: TarHead, at: number): TarEntry {
    const { pending } = this
    this.pending = null
    const { name, size } = pending ? overridden(head, pending.name, pending.fields) : plain(head)
    const offset = at + blockBytes
    const end = offset + (head.type === "directory" ? 0 : padded(size))
    return { name, size, type: head.type, start: pending?.start ?? at, offset, end, global: this.naming() }
  }

  private naming(): Span | null {
    const { global } = this
    return global && (global.fields.has("path") || global.fields.has("size")) ? global.span : null
  }
}

function endOfData(): Error {
  return new Error("Unexpected end of data")
}

function isAbout({ type }: TarHead): boolean {
  return type === "pax" || type === "global" || type === "long-name" || type === "long-link"
}

function padded(size: number): number {
  return Math.ceil(size / blockBytes) * blockBytes
}

function plain({ name, size }: TarHead): { name: string; size: number } {
  return checked(decodeName(name), size)
}

/** A name of a PAX header is decoded; an empty one counts as none, as does an empty size. */
function overridden(head: TarHead, longName = "", fields: ReadonlyMap<string, string> = new Map()) {
  const raw = longName || head.name
  const path = fields.get("path")
  const name = path === undefined ? decodeName(raw) : path || raw
  const size = fields.get("size")
  const found = checked(name, size ? Number.parseInt(size, 10) : head.size)
  checkFields(fields)
  return found
}

/** Those for all entries would be gone through for each. */
function checkFields(fields: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  if (fields.size > mostFields) throw new Error(`a header has more than ${mostFields} fields`)
  return fields
}

/** Throws Error on what no archive of samples has. Names of MiBs, given once for all entries, take long for each. */
function checked(name: string, size: number | null): { name: string; size: number } {
  if (size !== null && !(size >= 0)) throw new Error("Invalid header")
  if (name.length > longestKey) throw new Error(`a name has ${name.length} letters, more than ${longestKey}`)
  if (!Number.isSafeInteger(size)) throw new Error(`the size of ${quoted(name)} is damaged`)
  return { name, size: size! }
}

// -------------------------------------------------------------------------------------------------------- reading

/** A head so near to the last one is read together with what lies between. */
const near = 2 ** 13

/** So many heads in sequence are near before more is read than a head. */
const proof = 4

const largestWindow = 2 ** 16

/** Heads are read one by one where large files lie between them, and 64 KiB at a time where small ones do. */
class Window {
  private start = 0
  private bytes: Buffer = Buffer.alloc(0)
  private words: Uint32Array = new Uint32Array(0)
  private memory = new ArrayBuffer(0)
  private last = 0
  private run = 0

  constructor(private readonly source: RandomAccess) {}

  head(position: number): TarHead | null {
    this.run = Math.abs(position - this.last) <= near ? this.run + 1 : 0
    this.last = position
    if (!this.holds(position, blockBytes)) this.readFrom(position)
    return parseHead(this.bytes, this.words, position - this.start)
  }

  content(position: number, length: number): Buffer {
    const at = position - this.start
    return this.holds(position, length)
      ? this.bytes.subarray(at, at + length)
      : aligned(this.source.read(position, length))
  }

  private holds(position: number, length: number): boolean {
    return position >= this.start && position + length <= this.start + this.bytes.length
  }

  private readFrom(position: number): void {
    const wanted = this.run < proof ? blockBytes : Math.min(blockBytes << Math.min(this.run, 16), largestWindow)
    this.bytes = this.take(position, Math.min(wanted, this.source.size - position))
    this.start = position
    this.words = new Uint32Array(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length >> 2)
  }

  /** Into the same memory each time, where the source can: nothing of it is kept. */
  private take(position: number, length: number): Buffer {
    if (!this.source.readInto) return aligned(this.source.read(position, length))
    if (length > this.memory.byteLength) this.memory = new ArrayBuffer(length)
    const bytes = Buffer.from(this.memory, 0, length)
    this.source.readInto(position, bytes)
    return bytes
  }
}

/** Words of four bytes must begin at a multiple of four. */
function aligned(bytes: Uint8Array): Buffer {
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes)
  return Buffer.from(buffer, byteOffset, byteLength)
}
