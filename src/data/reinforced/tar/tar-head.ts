/**
 * The 512 bytes before each entry of a tar archive (POSIX.1-2017, pax; GNU's long names and large sizes), and the fields of an
 * extended header. What is taken and what is refused is what tar-stream 3.2 takes and refuses, with its words, so that shards
 * that were read before are read alike; `tar-head.test.ts` compares the two.
 */
import { isUtf8 } from "node:buffer"

export const blockBytes = 512

/** `pax`, `global`, `long-name` and `long-link`: what the entry holds is about the entries after it. */
export type EntryType = "file" | "directory" | "other" | "pax" | "global" | "long-name" | "long-link"

export interface TarHead {
  /** A letter for each byte. */
  readonly name: string
  /** NaN where it is not a number, null where it is a number of unknown form. */
  readonly size: number | null
  readonly type: EntryType
}

const [zero, space] = [0x30, 0x20]

/** Where fields begin; their lengths are below. */
const field = { size: 124, checksum: 148, type: 156, magic: 257, prefix: 345 } as const

/**
 * Null for a block without a head: zeros. Throws Error on what is not a head.
 *
 * @param words the same bytes, four at a time, as whatever order the machine has
 * @param at the first byte, a multiple of 4
 */
export function parseHead(bytes: Buffer, words: Uint32Array, at: number): TarHead | null {
  const sum = headSum(bytes, words, at)
  if (sum === 8 * space) return null
  if (sum !== parseNumber(bytes, at + field.checksum, 8)) {
    throw new Error("Invalid tar header. Maybe the tar is corrupted or it needs to be gunzipped?")
  }
  const isPosix = hasText(bytes, at + field.magic, "ustar\0")
  if (!isPosix && !hasText(bytes, at + field.magic, "ustar  \0")) throw new Error("Invalid tar header: unknown format.")
  const name = textAt(bytes, at, 100)
  const hasPrefix = isPosix && bytes[at + field.prefix] !== 0
  return {
    name: hasPrefix ? `${textAt(bytes, at + field.prefix, 155)}/${name}` : name,
    size: parseNumber(bytes, at + field.size, 12),
    type: typeOf(bytes[at + field.type]!),
  }
}

/** The sum of the bytes, with spaces for that of the checksum. */
function headSum(bytes: Buffer, words: Uint32Array, at: number): number {
  // Two sums of 16 bits at a time: 128 words of two bytes each add up to 65,280 at most.
  let pairs = 0
  for (let i = at / 4, end = i + blockBytes / 4; i < end; i++) {
    const word = words[i]!
    pairs += (word & 0xff00ff) + ((word >>> 8) & 0xff00ff)
  }
  let sum = (pairs & 0xffff) + (pairs >>> 16) + 8 * space
  for (let i = at + field.checksum; i < at + field.checksum + 8; i++) sum -= bytes[i]!
  return sum
}

function hasText(bytes: Buffer, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false
  return true
}

/** Up to the first zero byte. */
function textAt(bytes: Buffer, at: number, length: number): string {
  let end = at
  while (end < at + length && bytes[end] !== 0) end++
  return bytes.toString("latin1", at, end)
}

function typeOf(flag: number): EntryType {
  switch (flag) {
    case 0:
    case zero:
      return "file"
    case zero + 5:
      return "directory"
    case 0x78: // x
      return "pax"
    case 0x67: // g
      return "global"
    case 0x4b: // K
      return "long-link"
    case 0x4c: // L
    case 0x4e: // N
      return "long-name"
    default:
      return "other"
  }
}

/** Octal digits between spaces and zeros, or base 256 where the first bit is set. */
function parseNumber(bytes: Buffer, at: number, length: number): number | null {
  if (bytes[at]! & 0x80) return parseBase256(bytes, at, length)
  let [from, end] = [at, at + length]
  while (from < end && bytes[from] === space) from++
  for (let i = from; i < end; i++) if (bytes[i] === space) end = i
  while (from < end && bytes[from] === 0) from++
  if (from === end) return 0
  let value = 0
  for (let i = from; i < end; i++) {
    const digit = bytes[i]! - zero
    // Signs and odd spaces are rare: what they mean is JavaScript's matter.
    if (!(digit >= 0 && digit < 8)) return i > from ? value : Number.parseInt(bytes.toString("utf8", from, end), 8)
    value = 8 * value + digit
  }
  return value
}

function parseBase256(bytes: Buffer, at: number, length: number): number | null {
  const isPositive = bytes[at] === 0x80
  if (!isPositive && bytes[at] !== 0xff) return null
  let value = 0
  for (let i = at + 1; i < at + length; i++) value = 256 * value + (isPositive ? bytes[i]! : 0xff - bytes[i]!)
  return isPositive ? value : -value
}

/** The name that the entry of a `long-name` holds, a letter for each byte. */
export function parseLongName(bytes: Buffer): string {
  return textAt(bytes, 0, bytes.length)
}

/** The fields of an extended header, up to the first that is damaged. */
export function parsePax(bytes: Buffer): Map<string, string> {
  const fields = new Map<string, string>()
  let rest = bytes
  while (rest.length > 0) {
    const end = rest.indexOf(space)
    const digits = end < 0 ? rest.length : end
    const length = Number.parseInt(rest.toString("utf8", 0, digits), 10)
    if (!length) break
    const text = rest.subarray(digits + 1, length - 1).toString("utf8")
    const equals = text.indexOf("=")
    if (equals < 0) break
    fields.set(text.slice(0, equals), text.slice(equals + 1))
    rest = rest.subarray(length)
  }
  const path = isUtf8(bytes) ? null : binaryPath(bytes)
  if (path !== null) fields.set("path", path)
  return fields
}

/** Python writes names as the bytes that they are (hdrcharset=BINARY). */
function binaryPath(bytes: Buffer): string | null {
  const path = /(?:^|\n)\d+ path=([^\n]*)\n/.exec(bytes.toString("latin1"))
  return path && decodeName(path[1]!)
}

/**
 * UTF-8; a name that is something else keeps a letter for each byte (Latin-1), so that names are as distinct as their bytes.
 *
 * @param name a letter for each byte
 */
export function decodeName(name: string): string {
  if (isPlain(name)) return name
  const bytes = Buffer.from(name, "latin1")
  return isUtf8(bytes) ? bytes.toString("utf8") : name
}

function isPlain(name: string): boolean {
  for (let i = 0; i < name.length; i++) if (name.charCodeAt(i) > 0x7f) return false
  return true
}

/** Key and extension of a member; null where the entry is not a member: a folder, a hidden file, a file without extension. */
export function splitName({ name, type }: { readonly name: string; readonly type?: string | null }): {
  key: string
  extension: string
} | null {
  const path = name.startsWith("./") ? name.replace(/^(?:\.\/)+/, "") : name
  const file = path.lastIndexOf("/") + 1
  const dot = path.indexOf(".", file)
  if (type !== "file" || dot <= file || dot === path.length - 1) return null
  return { key: path.slice(0, dot), extension: path.slice(dot + 1).toLowerCase() }
}
