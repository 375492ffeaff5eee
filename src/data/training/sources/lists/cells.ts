/**
 * Cells of separated values, found in bytes: no text is made of rows that are only passed over. Only a quote at the beginning
 * of a cell opens one; two quotes in it stand for one, and any other letter after the closing quote ends the cell, as in d3-dsv.
 */

const [quote, newline, carriageReturn, space] = [0x22, 0x0a, 0x0d, 0x20]

/** Those of a row after that are counted, and have no place: a row of 64 MiB of separators would take gigabytes. */
export const mostCells = 2 ** 18

export class Cells {
  /** Cells of the row found last. */
  count = 0
  /** Whether the bytes end within a quoted cell. */
  isOpen = false
  private bytes: Buffer = Buffer.alloc(0)
  private starts = new Int32Array(16)
  private ends = new Int32Array(16)
  /** Whether two quotes in the cell stand for one. */
  private doubled = new Uint8Array(16)
  private readonly separator: Buffer

  /** @param separator its first letter counts */
  constructor(separator: string) {
    this.separator = Buffer.from([...separator][0] ?? "")
  }

  /** Finds the cells of the row that begins at `start`, and where the next row begins; -1 where the bytes end before that. */
  find(bytes: Buffer, start: number, isLast: boolean): number {
    ;[this.bytes, this.count, this.isOpen] = [bytes, 0, false]
    const first = this.separator[0] ?? -1
    const end = bytes.length
    for (let at = start; ; ) {
      const begin = at
      if (bytes[at] === quote) {
        at = this.quoted(at, isLast)
        if (at < 0 || at === end) return at
        if (bytes[at] === newline) return at + 1
        if (bytes[at] === carriageReturn && (at + 1 === end || bytes[at + 1] === newline)) {
          return at + 1 < end ? at + 2 : isLast ? end : -1
        }
        at += letterLength(bytes[at]!)
        if (at > end) return -1
        continue
      }
      while (at < end && bytes[at] !== newline && (bytes[at] !== first || !this.isSeparator(at))) at++
      if (at === end && !isLast) return -1
      if (at === end || bytes[at] === newline) {
        this.add(begin, at > begin && bytes[at - 1] === carriageReturn ? at - 1 : at, 0)
        return at === end ? end : at + 1
      }
      this.add(begin, at, 0)
      at += this.separator.length
    }
  }

  start(cell: number): number {
    return this.starts[cell]!
  }

  end(cell: number): number {
    return this.ends[cell]!
  }

  /** Whether the bytes of the cell are its text. */
  isPlain(cell: number): boolean {
    return this.doubled[cell] === 0
  }

  text(cell: number): string {
    const text = this.bytes.toString("utf8", this.starts[cell]!, this.ends[cell]!)
    return this.doubled[cell] === 0 ? text : text.replaceAll('""', '"')
  }

  /** An empty line, or one of separators alone, as spreadsheets write it. */
  isBlank(): boolean {
    if (this.count > mostCells) return false
    for (let cell = 0; cell < this.count; cell++) {
      const [start, end] = [this.starts[cell]!, this.ends[cell]!]
      const letter = start < end ? this.bytes[start]! : space
      if ((letter > space && letter < 0x7f) || this.text(cell).trim() !== "") return false
    }
    return true
  }

  /** Takes the cell that a quote opens, and gives what follows its closing quote; -1 where that is not there. */
  private quoted(opening: number, isLast: boolean): number {
    const { bytes } = this
    let doubled = 0
    for (let at = opening + 1; at < bytes.length; at++) {
      if (bytes[at] !== quote) continue
      if (at + 1 === bytes.length && !isLast) break
      if (bytes[at + 1] !== quote) {
        this.add(opening + 1, at, doubled)
        return at + 1
      }
      doubled = 1
      at++
    }
    this.isOpen = true
    return -1
  }

  private isSeparator(at: number): boolean {
    const { separator, bytes } = this
    for (let i = 1; i < separator.length; i++) if (bytes[at + i] !== separator[i]) return false
    return true
  }

  private add(start: number, end: number, doubled: number): void {
    if (this.count >= mostCells) {
      this.count++
      return
    }
    if (this.count === this.starts.length) this.grow()
    this.starts[this.count] = start
    this.ends[this.count] = end
    this.doubled[this.count++] = doubled
  }

  private grow(): void {
    const length = 4 * this.starts.length
    const { starts, ends, doubled } = this
    ;[this.starts, this.ends, this.doubled] = [new Int32Array(length), new Int32Array(length), new Uint8Array(length)]
    this.starts.set(starts)
    this.ends.set(ends)
    this.doubled.set(doubled)
  }
}

/** Bytes of a letter in UTF-8, by the first one. */
function letterLength(first: number): number {
  if (first < 0xc0) return 1
  return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4
}
