/**
 * A pass over a whole list: every row is found and checked, and where it begins is given on. Memory does not grow with the list.
 *
 * Rows are searched in UTF-8. Where the file is UTF-16, letters are counted to know where a row begins in the file.
 */
import { isUtf8 } from "node:buffer"
import { dirname, resolve } from "node:path"
import { notText, type TextEncoding, utf8Chunks, withNewlines } from "../../../../core/text/decode-text.ts"
import { longestLine, readLines } from "../../../reinforced/jsonl/lines.ts"
import { CommonFolder, hasWindowsPaths, isPlainPath, pathIn } from "./list-paths.ts"
import type { ListSource } from "./list-source.ts"
import type { ListKind, Pair, RowFormat } from "./row-format.ts"
import { RowsDigest } from "./rows-digest.ts"

/** What is known of a list when all of it was read. */
export interface ListFacts {
  readonly encoding: TextEncoding
  /** How its rows are written: of `RowFormat`. */
  readonly dialect: unknown
  /** Where the list lies: its paths are relative to that. */
  readonly folder: string
  /** Whether `\` stands between folders. */
  readonly isWindows: boolean
  /** The deepest folder that holds all pictures, with its last slash. */
  readonly common: string
  /** The digest of a text and then all rows; null where nobody asked for it. */
  readonly digest: { readonly text: string; readonly hex: string } | null
}

/** What is hashed before the rows, and `common` of an earlier pass. */
export type DigestBeginning = { readonly text: string; readonly common: string }

export class ListPass {
  private count = 0
  private isWindows = false
  private readonly rows: RowFormat
  private readonly folder: string
  private readonly common: CommonFolder
  private readonly digest: RowsDigest | null

  /** @param beginning null: no digest is made */
  constructor(
    private readonly source: ListSource,
    private readonly kind: ListKind,
    private readonly beginning: DigestBeginning | null,
  ) {
    this.rows = kind.open()
    this.folder = resolve(dirname(source.path))
    this.common = new CommonFolder(this.folder)
    if (beginning) this.common.set(beginning.common)
    this.digest = beginning && new RowsDigest(beginning.text, beginning.common, this.common.between)
  }

  /** When all starts were given. */
  facts(): ListFacts {
    const { folder, isWindows } = this
    const digest = this.digest && { text: this.beginning!.text, hex: this.digest.digest() }
    return {
      ...{ encoding: this.source.encoding, dialect: this.rows.dialect },
      ...{ folder, isWindows, common: this.common.folder!, digest },
    }
  }

  /**
   * Where each row begins in the file, and at last where the file ends. Throws UserError naming the row that is damaged,
   * where there are none, and where the list is changed meanwhile.
   */
  async *starts(): AsyncGenerator<Float64Array> {
    const { rows, source } = this
    const position = new FilePosition(source)
    let [rest, row, checked]: [Buffer, number, number] = [Buffer.alloc(0), 1, 0]
    let added = new Added()
    for await (const { chunk, isLast } of piecesOf(source)) {
      added.add(chunk)
      // What is left of a long row is not searched again before it is twice as long: time would grow with its square.
      if (added.length < rest.length && rest.length + added.length <= longestLine && !isLast) continue
      const bytes = added.after(rest)
      added = new Added()
      checked = await this.requireUtf8(bytes, checked, isLast)
      const found: number[] = []
      let at = 0
      for (let next: number; at < bytes.length; at = next, row++) {
        next = rows.next(bytes, at, isLast)
        if (next < 0) break
        if (!rows.lists(row)) continue
        found.push(position.of(bytes, at))
        this.take(bytes)
      }
      rows.checkRest(bytes, at, row, isLast)
      const end = position.of(bytes, at)
      position.drop(at)
      ;[rest, checked] = [bytes.subarray(at), Math.max(0, checked - at)]
      yield Float64Array.from(isLast ? [...found, end] : found)
    }
    if (this.count === 0) throw this.kind.empty()
    source.check()
  }

  private take(bytes: Buffer): void {
    const isFirst = this.count++ === 0
    if (isFirst || !this.takeSpans(bytes)) this.takePair(this.rows.pair(), isFirst)
  }

  /** False where the row is to be read as text. */
  private takeSpans(bytes: Buffer): boolean {
    const spans = this.rows.spans()
    if (!spans || !isPlainPath(bytes, spans.imageStart, spans.imageEnd)) return false
    const known = this.common.holds(bytes, spans.imageStart, spans.imageEnd)
    if (known < 0 || !this.digest) return known >= 0
    return this.digest.addBytes(bytes, spans, spans.imageStart + known, bytes[spans.imageStart] !== slash)
  }

  private takePair({ image, captions }: Pair, isFirst: boolean): void {
    if (isFirst) this.isWindows = hasWindowsPaths(this.folder, image)
    const path = pathIn(this.folder, this.isWindows ? image.replaceAll("\\", "/") : image)
    this.common.add(path)
    this.digest?.add(path, captions)
  }

  /** Throws UserError naming the line that is not UTF-8; else gives up to where whole lines were looked at. */
  private async requireUtf8(bytes: Buffer, from: number, isLast: boolean): Promise<number> {
    const end = isLast ? bytes.length : bytes.lastIndexOf("\n") + 1
    if (end <= from || isUtf8(bytes.subarray(from, end))) return Math.max(from, end)
    for await (const { number, text } of readLines(this.source.path, "none")) {
      if (text === null) throw this.kind.notUtf8(number)
    }
    throw notText(this.source.path)
  }
}

const slash = 0x2f

/** Pieces that were read since rows were searched. */
class Added {
  length = 0
  private readonly chunks: Uint8Array[] = []

  add(chunk: Uint8Array): void {
    this.chunks.push(chunk)
    this.length += chunk.length
  }

  after(rest: Buffer): Buffer {
    const [only] = this.chunks
    return rest.length === 0 && this.chunks.length === 1 ? asBuffer(only!) : Buffer.concat([rest, ...this.chunks])
  }
}

interface Piece {
  readonly chunk: Uint8Array
  readonly isLast: boolean
}

/** UTF-8 without a byte-order mark; the last piece is empty. */
async function* piecesOf(source: ListSource): AsyncGenerator<Piece> {
  // That of UTF-16 itself is left out by its decoder.
  let mark = source.encoding === "utf-8" || source.mark > 2 ? Math.min(source.mark, 3) : 0
  for await (const chunk of withNewlines(utf8Chunks(source.chunks(), source.path, source.encoding))) {
    const skipped = Math.min(mark, chunk.length)
    mark -= skipped
    yield { chunk: chunk.subarray(skipped), isLast: false }
  }
  yield { chunk: new Uint8Array(0), isLast: true }
}

function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength)
}

/** From places in the text that are asked for in order to places in the file. */
class FilePosition {
  private at = 0
  private position: number
  private readonly isUtf16: boolean

  constructor({ encoding, mark }: ListSource) {
    this.position = mark
    this.isUtf16 = encoding !== "utf-8"
  }

  of(bytes: Uint8Array, at: number): number {
    this.position += this.isUtf16 ? 2 * unitsOf(bytes, this.at, at) : at - this.at
    this.at = at
    return this.position
  }

  /** The next bytes begin with what stands at `at` in these. */
  drop(at: number): void {
    this.at -= at
  }
}

/** How many units of UTF-16 a text in UTF-8 has: two where four bytes make a letter. */
function unitsOf(bytes: Uint8Array, start: number, end: number): number {
  let units = 0
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!
    if (byte < 0x80 || byte >= 0xc0) units += byte >= 0xf0 ? 2 : 1
  }
  return units
}
