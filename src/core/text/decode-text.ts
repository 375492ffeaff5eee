/**
 * Text files that people bring: UTF-8, or UTF-16 where a byte-order mark says so. Other bytes are refused, and never read as
 * replacement characters, which a model would learn.
 */
import { UserError } from "../errors.ts"

export type TextEncoding = "utf-8" | "utf-16le" | "utf-16be"

/** By the byte-order mark; without one, UTF-8. Throws a UserError that begins with `name` where that would read as letters with NUL between. */
export function encodingOf(bytes: Uint8Array, name: string): TextEncoding {
  const [first, second] = bytes
  if (first === 0xff && second === 0xfe) return "utf-16le"
  if (first === 0xfe && second === 0xff) return "utf-16be"
  if (!alternates(bytes.subarray(0, 64))) return "utf-8"
  throw new UserError(`${name} is UTF-16 without a byte-order mark`, "save the file as UTF-8")
}

/** Whether every other byte is 0, as in UTF-16 of plain letters, and not all are. */
function alternates(bytes: Uint8Array): boolean {
  const isZero = (parity: number) => bytes.every((byte, at) => at % 2 !== parity || byte === 0)
  return bytes.length >= 4 && isZero(0) !== isZero(1)
}

/**
 * The text, without its mark. Throws a UserError that begins with `name` and the line where the bytes are something else.
 *
 * @param isCut whether it may end within a letter, which then is left out
 */
export function decodeText(bytes: Uint8Array, name: string, isCut = false): string {
  const encoding = encodingOf(bytes, name)
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes, { stream: isCut })
  } catch {
    throw notText(`${name}, line ${damagedLine(bytes, encoding)}`, encoding)
  }
}

/** @param where the file and the line */
export function notText(where: string, encoding = "utf-8"): UserError {
  if (encoding !== "utf-8") {
    return new UserError(`${where} is not UTF-16, though the file's byte-order mark says so`, "save it again as UTF-8")
  }
  return new UserError(`${where} is not UTF-8`, "save the file as UTF-8: `iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW`")
}

/** The line of the first letter that cannot be decoded: of the shortest beginning that fails. */
function damagedLine(bytes: Uint8Array, encoding: string): number {
  const beginning = (end: number) => {
    try {
      return new TextDecoder(encoding, { fatal: true }).decode(bytes.subarray(0, end), { stream: true })
    } catch {
      return null
    }
  }
  let [good, bad] = [0, bytes.length + 1]
  while (bad - good > 1) {
    const middle = (good + bad) >>> 1
    if (beginning(middle) === null) bad = middle
    else good = middle
  }
  return textLines(beginning(good)!).length
}

/** The lines of a text, whether CR, LF or both end them. */
export function textLines(text: string): string[] {
  return text.split(/\r\n|\r|\n/)
}

/**
 * The bytes of a file as UTF-8, whose mark stays. Throws a UserError that begins with `name` on broken UTF-16.
 *
 * @param encoding default: what the first chunk says
 */
export async function* utf8Chunks(
  chunks: AsyncIterable<Uint8Array>,
  name: string,
  encoding?: TextEncoding,
): AsyncGenerator<Uint8Array> {
  let decoder: TextDecoder | null | undefined
  for await (const chunk of chunks) {
    if (decoder === undefined) decoder = utf16Decoder(encoding ?? encodingOf(chunk, name))
    yield decoder ? encoded(decoder, chunk, name) : chunk
  }
  if (decoder) yield encoded(decoder, undefined, name)
}

/** Null where the file is not UTF-16. */
function utf16Decoder(encoding: TextEncoding): TextDecoder | null {
  return encoding === "utf-8" ? null : new TextDecoder(encoding, { fatal: true })
}

function encoded(decoder: TextDecoder, chunk: Uint8Array | undefined, name: string): Uint8Array {
  try {
    return new TextEncoder().encode(decoder.decode(chunk, { stream: chunk !== undefined }))
  } catch {
    throw notText(name, decoder.encoding)
  }
}

const [newline, carriageReturn] = [0x0a, 0x0d]

/** The same bytes, but LF in place of a CR that ends a line alone, as old Macs write it. Everything stays where it is. */
export async function* withNewlines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let isHeld = false
  for await (const chunk of chunks) {
    if (chunk.length === 0) continue
    if (isHeld) yield Uint8Array.of(chunk[0] === newline ? carriageReturn : newline)
    isHeld = chunk.at(-1) === carriageReturn
    yield withoutLoneReturns(isHeld ? chunk.subarray(0, -1) : chunk)
  }
  if (isHeld) yield Uint8Array.of(newline)
}

/** The same of bytes that are followed by anything but LF. */
export function withoutLoneReturns(chunk: Uint8Array): Uint8Array {
  let copy: Uint8Array | null = null
  for (let at = chunk.indexOf(carriageReturn); at >= 0; at = chunk.indexOf(carriageReturn, at + 1)) {
    if (chunk[at + 1] === newline) continue
    // `slice` of a Buffer is not a copy.
    copy ??= new Uint8Array(chunk)
    copy[at] = newline
  }
  return copy ?? chunk
}
