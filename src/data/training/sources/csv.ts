/** Pictures and captions in columns of a CSV or TSV file with a head line, as open_clip's `--csv-*` options name them. */
import { quoted, UserError } from "../../../core/errors.ts"
import { isObject, isSize } from "../../../core/json.ts"
import { nearestNames } from "../../../core/nearest.ts"
import { notText } from "../../../core/text/decode-text.ts"
import { longestLine } from "../../reinforced/jsonl/lines.ts"
import { Cells, mostCells } from "./lists/cells.ts"
import { type OpenOptions, openIndexed } from "./lists/indexed-list.ts"
import type { ListKind, Pair, RowFormat, Spans } from "./lists/row-format.ts"
import type { SampleList } from "./location.ts"
import { picturePath } from "./pairs.ts"

interface CsvOptions extends OpenOptions {
  readonly imageColumn?: string
  readonly captionColumn?: string
  readonly separator?: string
}

/** How many columns a message names. */
const mostNames = 50

const separators = ["\t", ",", ";", "|"]

/** Letters of a row over several lines. A quote that is not closed would take in everything that follows. */
const longestRow = 2 ** 20

/** Paths are relative to the file's folder. Throws UserError where a column is missing, or a row has another number of cells. */
export function listCsv(path: string, options: CsvOptions): Promise<SampleList> {
  return openIndexed(path, csvKind(path, options), options)
}

/** @param path for messages */
export function csvKind(path: string, options: CsvOptions): ListKind {
  const { imageColumn, captionColumn, separator } = options
  return {
    name: `csv ${JSON.stringify([imageColumn, captionColumn, separator])}`,
    open: (dialect) => new CsvRows(path, options, dialect === undefined ? null : requireDialect(dialect)),
    empty: () => new UserError(`${path} has no rows below its head`),
    notUtf8: (line) => notText(`${path}, line ${line}`),
  }
}

interface Dialect {
  readonly separator: string
  readonly columns: Columns
}

interface Columns {
  readonly names: readonly string[]
  readonly image: number
  readonly caption: number
}

function requireDialect(value: unknown): Dialect {
  if (!isObject(value) || typeof value.separator !== "string" || !isColumns(value.columns)) {
    throw new UserError("these are not the columns of a list")
  }
  return { separator: value.separator, columns: value.columns }
}

function isColumns(value: unknown): value is Columns {
  if (!isObject(value) || !Array.isArray(value.names)) return false
  const { names, image, caption } = value
  const isColumn = (index: unknown) => isSize(index) && index < names.length
  return names.every((name) => typeof name === "string") && isColumn(image) && isColumn(caption)
}

class CsvRows implements RowFormat {
  private separator: string | null
  private columns: Columns | null
  private cells: Cells
  private isFirst: boolean
  /** Whether the row found last says nothing of a picture, whatever it has. */
  private isPassed = false
  private row = 0
  private readonly span = { imageStart: 0, imageEnd: 0, captionStart: 0, captionEnd: 0 }

  constructor(
    private readonly path: string,
    private readonly options: CsvOptions,
    dialect: Dialect | null,
  ) {
    this.separator = dialect?.separator ?? options.separator ?? null
    this.columns = dialect?.columns ?? null
    this.isFirst = dialect === null
    this.cells = new Cells(this.separator ?? "")
  }

  get dialect(): Dialect {
    return { separator: this.separator!, columns: this.columns! }
  }

  next(bytes: Buffer, start: number, isLast: boolean): number {
    this.isPassed = false
    if (this.isFirst || this.separator === null) {
      const passed = this.beginning(bytes, start, isLast)
      if (passed !== null) return passed
    }
    return this.cells.find(bytes, start, isLast)
  }

  lists(row: number): boolean {
    this.row = row
    if (this.isPassed || this.cells.isBlank()) return false
    if (this.columns) {
      this.checkCount(row, this.columns)
      return true
    }
    this.columns = columnsOf(this.path, this.texts(row), this.options)
    return false
  }

  spans(): Spans | null {
    const { cells } = this
    const { image, caption } = this.columns!
    if (!cells.isPlain(image) || !cells.isPlain(caption)) return null
    const span = this.span
    span.imageStart = cells.start(image)
    span.imageEnd = cells.end(image)
    span.captionStart = cells.start(caption)
    span.captionEnd = cells.end(caption)
    return span
  }

  pair(): Pair {
    const { image, caption } = this.columns!
    return {
      image: picturePath(this.cells.text(image), `${this.path}, row ${this.row}`),
      captions: [this.cells.text(caption)],
    }
  }

  fields(): Record<string, unknown> {
    const { names, image, caption } = this.columns!
    const others = names.flatMap((name, i) =>
      i === image || i === caption ? [] : [[name, this.cells.text(i)] as const],
    )
    return { path: this.cells.text(image), ...Object.fromEntries(others) }
  }

  checkRest(bytes: Buffer, start: number, row: number, isLast: boolean): void {
    const where = `${this.path}, row ${row}`
    const length = bytes.length - start
    if (length > longestLine) throw new UserError(`${where} has more than ${longestLine} letters`)
    const isLong = () =>
      length > longestRow && bytes.includes("\n", start) && bytes.toString("utf8", start).length > longestRow
    if (!this.cells.isOpen || !(isLast || isLong())) return
    const begin = quoted(bytes.toString("utf8", start).replace(/[\r\n]+$/, ""))
    throw new UserError(
      `${where}: the quote of a cell is not closed within ${longestRow} letters (${begin})`,
      'close it, and write a quote within quotes as ""',
    )
  }

  /**
   * Passes over what stands before the head, empty lines and Excel's line about the separator, and finds the separator in the
   * head. Null where the line is to be searched for cells, -1 where its end is not there yet.
   */
  private beginning(bytes: Buffer, start: number, isLast: boolean): number | null {
    const lineEnd = bytes.indexOf("\n", start)
    if (lineEnd < 0 && !isLast) return -1
    const line = bytes.toString("utf8", start, lineEnd < 0 ? bytes.length : lineEnd + 1)
    const given = this.isFirst ? separatorLine.exec(line) : null
    this.isFirst = false
    this.isPassed = given !== null || /^\r?\n$/.test(line)
    if (given) this.separator ??= given[1]!
    else if (!this.isPassed) this.separator ??= findSeparator(line)
    if (this.separator !== null) this.cells = new Cells(this.separator)
    return this.isPassed ? lineEnd + 1 : null
  }

  private checkCount(row: number, { names }: Columns): void {
    if (this.cells.count === names.length) return
    throw new UserError(
      `${this.path}, row ${row} has ${this.cells.count} cells, and the head has ${names.length}`,
      "quote cells that hold the separator, or name another one",
    )
  }

  private texts(row: number): string[] {
    const { count } = this.cells
    if (count > mostCells) throw new UserError(`${this.path}, row ${row} has ${count} cells, more than ${mostCells}`)
    return Array.from({ length: this.cells.count }, (_, i) => this.cells.text(i))
  }
}

function columnsOf(path: string, head: readonly string[], options: CsvOptions): Columns {
  const names = head.map((name) => name.trim())
  const image = columnOf(path, names, options.imageColumn ?? "filepath", "imageColumn")
  const caption = columnOf(path, names, options.captionColumn ?? "title", "captionColumn")
  return { names, image, caption }
}

/** The first line by which Excel is told the separator. */
const separatorLine = /^"?sep=([^"\r\n])"?(?=\r?\n)/i

/** The separator that occurs most often in the first line. */
export function findSeparator(text: string): string {
  const line = text.slice(0, text.search(/[\r\n]|$/))
  const count = (separator: string) => line.split(separator).length
  return separators.reduce((best, next) => (count(next) > count(best) ? next : best))
}

/** The options by their names on the command line. */
const flagOf = {
  imageColumn: "--image-column (train: --csv-img-key)",
  captionColumn: "--caption-column (train: --csv-caption-key)",
} as const

function columnOf(path: string, names: readonly string[], name: string, option: keyof typeof flagOf): number {
  const index = names.indexOf(name)
  if (index >= 0) return index
  const [nearest] = nearestNames(
    name,
    names.slice(0, mostNames).map((other) => other.slice(0, 100)),
    1,
  )
  throw new UserError(
    `${path} has no column ${quoted(name)}, only ${names.slice(0, mostNames).map(quoted).join(", ")}`,
    `name it with ${flagOf[option]}${nearest === undefined ? "" : `; the nearest is ${quoted(nearest)}`}`,
  )
}
