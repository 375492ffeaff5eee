/** Single rows of a list, read by where they begin. */
import { isUtf8 } from "node:buffer"
import { dirname, resolve } from "node:path"
import { UserError } from "../../../../core/errors.ts"
import { withoutLoneReturns } from "../../../../core/text/decode-text.ts"
import { longestLine } from "../../../reinforced/jsonl/lines.ts"
import type { Extent, SampleIndex } from "../../../sample-index/index-file.ts"
import type { ListFacts } from "./list-pass.ts"
import { hasWindowsPaths } from "./list-paths.ts"
import type { ListSource } from "./list-source.ts"
import type { ListKind, Pair, RowFormat } from "./row-format.ts"

/** Bytes that are read at once: empty lines after a row may be many more than the row. */
const firstRead = 2 ** 16

export class ListRows {
  private readonly rows: RowFormat
  private readonly decoder: TextDecoder | null

  constructor(
    private readonly source: ListSource,
    kind: ListKind,
    private readonly index: SampleIndex,
    { dialect }: Pick<ListFacts, "dialect">,
  ) {
    this.rows = kind.open(dialect)
    this.decoder = source.encoding === "utf-8" ? null : new TextDecoder(source.encoding, { ignoreBOM: true })
  }

  /**
   * Throws UserError where no row is there that is like those that the pass saw: then the list is another one by now, or the
   * index is damaged.
   */
  pair(index: number): Pair {
    return this.read(index, (row) => row.pair())
  }

  /** The fields of `RowFormat`. Throws UserError as `pair` does. */
  fields(index: number): Readonly<Record<string, unknown>> {
    return this.read(index, (row) => row.fields())
  }

  private read<T>(index: number, take: (row: RowFormat) => T): T {
    const extent = this.index.extents(index)[0]!
    if (!this.begins(extent) || !this.find(extent)) throw this.noRow(extent)
    try {
      if (this.rows.lists(0)) return take(this.rows)
    } catch (error) {
      if (!(error instanceof UserError)) throw error
    }
    throw this.noRow(extent)
  }

  /** Whether it is at the beginning, or a line ends before it. */
  private begins({ start }: Extent): boolean {
    if (start <= this.source.mark) return true
    const unit = this.decoder ? 2 : 1
    return /[\r\n]/.test(this.textOf(start - unit, start).toString("latin1"))
  }

  /** Whether a row is there, and nothing but empty ones after it. */
  private find({ start, end }: Extent): boolean {
    for (let length = firstRead; ; length *= 16) {
      const isWhole = start + length >= end
      const bytes = this.textOf(start, isWhole ? end : start + length)
      if (isWhole && !isUtf8(bytes)) return false
      const next = this.rows.next(bytes, 0, isWhole)
      if (next < 0 && !isWhole && length > longestLine) return false
      if (next < 0 && !isWhole) continue
      if (!isWhole || next < 0 || next === bytes.length) return next > 0
      return this.isBlank(bytes, next) && this.rows.next(bytes, 0, true) === next
    }
  }

  private isBlank(bytes: Buffer, start: number): boolean {
    for (let at = start; at < bytes.length; ) {
      at = this.rows.next(bytes, at, true)
      if (at < 0 || !this.isBlankRow()) return false
    }
    return true
  }

  private isBlankRow(): boolean {
    try {
      return !this.rows.lists(0)
    } catch (error) {
      if (error instanceof UserError) return false
      throw error
    }
  }

  private textOf(start: number, end: number): Buffer {
    const bytes = this.source.read(start, end)
    const { buffer, byteOffset, byteLength } = withoutLoneReturns(
      this.decoder ? Buffer.from(this.decoder.decode(bytes)) : bytes,
    )
    return Buffer.from(buffer, byteOffset, byteLength)
  }

  private noRow({ start }: Extent): UserError {
    return new UserError(
      `${this.source.path}, byte ${start}: no row begins there any more`,
      `the list was changed while it was in use: start again when it is complete. If that does not help, remove ${this.index.name}`,
    )
  }
}

/** Whether `\` stands between folders in a list, by its first row and the files that are there. */
export function isOfWindows(path: string, rows: ListRows): boolean {
  return hasWindowsPaths(resolve(dirname(path)), rows.pair(0).image)
}
