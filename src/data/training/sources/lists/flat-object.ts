/**
 * The usual line of a JSONL list, read without making a text or an object of it: an object of texts without escapes, numbers,
 * `true`, `false` and `null`. Every other line is for a parser of JSON.
 */
import type { Spans } from "./row-format.ts"

const [quote, backslash, open, comma, colon, close] = [0x22, 0x5c, 0x7b, 0x2c, 0x3a, 0x7d]
const [zero, nine, minus, plus, dot] = [0x30, 0x39, 0x2d, 0x2b, 0x2e]

const words = ["true", "false", "null"].map((word) => Buffer.from(word))

/** Longer lines may have more values than are read of JSON. */
const longestLine = 2 ** 18

export class FlatObject {
  private bytes: Uint8Array = new Uint8Array(0)
  private readonly images: readonly Uint8Array[]
  private readonly captions: readonly Uint8Array[]
  private readonly spans = { imageStart: 0, imageEnd: 0, captionStart: 0, captionEnd: 0 }
  /** Places of the names that were found, in the lists of names; the first one counts. */
  private image = 0
  private caption = 0

  /** Names of the picture's path and of the caption: the first one that an object has counts. */
  constructor(images: readonly string[], captions: readonly string[]) {
    this.images = images.map((name) => Buffer.from(name))
    this.captions = captions.map((name) => Buffer.from(name))
  }

  /** Null where the line is not of that kind, lacks a picture or a caption, or these are not texts. What it gives lasts until the next call. */
  find(bytes: Uint8Array, start: number, end: number): Spans | null {
    this.bytes = bytes
    this.image = this.images.length
    this.caption = this.captions.length
    if (end - start > longestLine) return null
    let at = this.space(start, end)
    if (bytes[at] !== open) return null
    do {
      at = this.member(this.space(at + 1, end), end)
      if (at < 0) return null
    } while (bytes[at] === comma)
    if (bytes[at] !== close || this.space(at + 1, end) !== end) return null
    return this.image < this.images.length && this.caption < this.captions.length ? this.spans : null
  }

  /** A name and its value: gives the place of what follows, -1 where it is for the parser. */
  private member(start: number, end: number): number {
    const { bytes } = this
    const nameEnd = this.text(start, end)
    if (nameEnd < 0) return -1
    const image = placeOf(this.images, bytes, start + 1, nameEnd - 1)
    const caption = placeOf(this.captions, bytes, start + 1, nameEnd - 1)
    const mark = this.space(nameEnd, end)
    if (bytes[mark] !== colon) return -1
    const value = this.space(mark + 1, end)
    const valueEnd = bytes[value] === quote ? this.text(value, end) : this.plainValue(value, end)
    if (valueEnd < 0) return -1
    if (image >= 0 || caption >= 0) {
      if (bytes[value] !== quote || !this.take(image, caption, value + 1, valueEnd - 1)) return -1
    }
    return this.space(valueEnd, end)
  }

  /** False where the name was there before: then the last one counts. */
  private take(image: number, caption: number, start: number, end: number): boolean {
    if (image === this.image || caption === this.caption) return false
    if (image >= 0 && image < this.image) {
      this.image = image
      this.spans.imageStart = start
      this.spans.imageEnd = end
    }
    if (caption >= 0 && caption < this.caption) {
      this.caption = caption
      this.spans.captionStart = start
      this.spans.captionEnd = end
    }
    return true
  }

  /** The place after a text without escapes; -1 where there is none. */
  private text(start: number, end: number): number {
    const { bytes } = this
    if (bytes[start] !== quote) return -1
    for (let at = start + 1; at < end; at++) {
      const byte = bytes[at]!
      if (byte === quote) return at + 1
      if (byte < 0x20 || byte === backslash) return -1
    }
    return -1
  }

  private plainValue(start: number, end: number): number {
    const first = this.bytes[start]!
    if (first === minus || isDigit(first)) return this.number(first === minus ? start + 1 : start, end)
    const word = words.find((letters) => startsWith(this.bytes, start, end, letters))
    return word ? start + word.length : -1
  }

  private number(start: number, end: number): number {
    const { bytes } = this
    let at = this.digits(start, end)
    if (at === start || (bytes[start] === zero && at > start + 1)) return -1
    if (bytes[at] === dot) {
      const fraction = at + 1
      at = this.digits(fraction, end)
      if (at === fraction) return -1
    }
    if (at < end && (bytes[at]! | 0x20) === 0x65) {
      const isSigned = bytes[at + 1] === minus || bytes[at + 1] === plus
      const exponent = at + (isSigned ? 2 : 1)
      at = this.digits(exponent, end)
      if (at === exponent) return -1
    }
    return at
  }

  private digits(start: number, end: number): number {
    let at = start
    while (at < end && isDigit(this.bytes[at]!)) at++
    return at
  }

  private space(start: number, end: number): number {
    let at = start
    while (at < end && isSpace(this.bytes[at]!)) at++
    return at
  }
}

function isDigit(byte: number): boolean {
  return byte >= zero && byte <= nine
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d
}

/** -1 where no name is there. */
function placeOf(names: readonly Uint8Array[], bytes: Uint8Array, start: number, end: number): number {
  for (let i = 0; i < names.length; i++) {
    if (names[i]!.length === end - start && startsWith(bytes, start, end, names[i]!)) return i
  }
  return -1
}

function startsWith(bytes: Uint8Array, start: number, end: number, letters: Uint8Array): boolean {
  if (end - start < letters.length) return false
  for (let i = 0; i < letters.length; i++) if (bytes[start + i] !== letters[i]) return false
  return true
}
