/** The bytes of a pickle, from front to back: its numbers and texts, and the errors that say where it is damaged. */
import { UserError } from "../errors.ts"

/** A longer integer is not a size, an offset or a counter, and parsing a long decimal one takes quadratic time. */
const longestInteger = 64

export class PickleBytes {
  private readonly view: DataView
  private readonly decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
  private offset = 0

  constructor(
    private readonly data: Uint8Array,
    private readonly name: string,
  ) {
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  }

  uint8(): number {
    return this.view.getUint8(this.advance(1))
  }

  uint16(): number {
    return this.view.getUint16(this.advance(2), true)
  }

  uint32(): number {
    return this.view.getUint32(this.advance(4), true)
  }

  int32(): number {
    return this.view.getInt32(this.advance(4), true)
  }

  /** A length. Above 2^53 it is rounded, and no pickle is that long. */
  uint64(): number {
    return Number(this.view.getBigUint64(this.advance(8), true))
  }

  /** The only number that is stored with its high byte first. */
  float64(): number {
    return this.view.getFloat64(this.advance(8))
  }

  /** Two's complement of `length` bytes. */
  long(length: number): number | bigint {
    if (length > longestInteger) this.fail(`an integer of ${length} bytes`)
    const words = new DataView(new ArrayBuffer(Math.ceil(length / 8) * 8))
    new Uint8Array(words.buffer).set(this.bytes(length))
    let value = 0n
    for (let i = words.byteLength - 8; i >= 0; i -= 8) value = (value << 64n) | words.getBigUint64(i, true)
    return narrow(BigInt.asIntN(8 * length, value))
  }

  /** A view of the input. */
  bytes(length: number): Uint8Array {
    const start = this.advance(length)
    return this.data.subarray(start, start + length)
  }

  /** UTF-8. */
  text(length: number): string {
    const bytes = this.bytes(length)
    try {
      return this.decoder.decode(bytes)
    } catch {
      this.fail("a text is not UTF-8")
    }
  }

  latin1(length: number): string {
    const bytes = this.bytes(length)
    let text = ""
    for (let i = 0; i < length; i += 4096) text += String.fromCharCode(...bytes.subarray(i, i + 4096))
    return text
  }

  /** Up to the next line feed, which is consumed. */
  line(): string {
    const end = this.data.indexOf(0x0a, this.offset)
    if (end < 0) this.fail("a line does not end")
    const text = this.text(end - this.offset)
    this.offset++
    return text
  }

  /** A decimal integer. */
  integer(text: string): number | bigint {
    if (text.length > longestInteger || !/^-?\d+$/.test(text)) this.fail("a number is not an integer")
    return narrow(BigInt(text))
  }

  /** A number as Python's `repr` writes it. */
  decimal(text: string): number {
    const named: Readonly<Record<string, number>> = { inf: Infinity, "-inf": -Infinity, nan: NaN }
    if (Object.hasOwn(named, text)) return named[text]!
    if (text.length > longestInteger || !/^-?\d+(\.\d*)?(e[+-]?\d+)?$/i.test(text)) this.fail("a number is malformed")
    return Number(text)
  }

  /** Throws unless `length` bytes are left. */
  require(length: number): void {
    if (length > this.data.length - this.offset) this.fail("it ends too early")
  }

  fail(what: string): never {
    throw new UserError(
      `${this.name}: the pickle is damaged at byte ${this.offset} (${what})`,
      "get the file again, or use the safetensors file",
    )
  }

  private advance(length: number): number {
    this.require(length)
    this.offset += length
    return this.offset - length
  }
}

function narrow(value: bigint): number | bigint {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}
