/** Pictures and captions in columns of a CSV or TSV file with a head line, as open_clip's `--csv-*` options name them. */
import { dsvFormat } from "d3-dsv"
import { quoted, UserError } from "../../../core/errors.ts"
import { nearestNames } from "../../../core/nearest.ts"
import { notText, utf8Chunks, withNewlines } from "../../../core/text/decode-text.ts"
import { longestLine, readLines, unpacked } from "../../reinforced/jsonl/lines.ts"
import type { SampleList } from "./location.ts"
import { PairTable } from "./pair-table.ts"
import { listTable, picturePath } from "./pairs.ts"

interface CsvOptions {
  readonly imageColumn?: string
  readonly captionColumn?: string
  readonly separator?: string
  readonly fields?: boolean
}

/** How many columns a message names. */
const mostNames = 50

const separators = ["\t", ",", ";", "|"]

/** Letters of a row over several lines. A quote that is not closed would take in everything that follows. */
const longestRow = 2 ** 20

/** Paths are relative to the file's folder. Throws UserError where a column is missing, or a row has another number of cells. */
export async function listCsv(path: string, options: CsvOptions): Promise<SampleList> {
  let columns: Columns | null = null
  const pairs = new PairTable()
  const others = options.fields ? new PairTable() : null
  for await (const { rows, first } of rowsOf(path, options.separator)) {
    for (const [i, cells] of rows.entries()) {
      if (isBlank(cells)) continue
      if (columns) {
        addPair(path, first + i, cells, columns, pairs)
        others?.add(JSON.stringify(fieldsOf(cells, columns)), "")
      } else columns = columnsOf(path, cells, options)
    }
  }
  if (pairs.count === 0) throw new UserError(`${path} has no rows below its head`)
  const list = listTable(path, pairs)
  return others ? { ...list, fields: (index) => JSON.parse(others.at(index).image) } : list
}

interface Columns {
  readonly names: readonly string[]
  readonly count: number
  readonly image: number
  readonly caption: number
}

function columnsOf(path: string, head: readonly string[], options: CsvOptions): Columns {
  const names = head.map((name) => name.trim())
  const image = columnOf(path, names, options.imageColumn ?? "filepath", "imageColumn")
  const caption = columnOf(path, names, options.captionColumn ?? "title", "captionColumn")
  return { names, count: names.length, image, caption }
}

/** An empty line, or one of separators alone, as spreadsheets write it. */
function isBlank(cells: readonly string[]): boolean {
  return cells.every((cell) => cell.trim() === "")
}

function addPair(
  path: string,
  row: number,
  cells: readonly string[],
  { count, image, caption }: Columns,
  pairs: PairTable,
): void {
  if (cells.length !== count) {
    throw new UserError(
      `${path}, row ${row} has ${cells.length} cells, and the head has ${count}`,
      "quote cells that hold the separator, or name another one",
    )
  }
  pairs.add(picturePath(cells[image]!, `${path}, row ${row}`), cells[caption]!)
}

interface Rows {
  readonly rows: readonly (readonly string[])[]
  /** Number of the first one, as a spreadsheet counts it: from 1, blank lines included. */
  readonly first: number
}

function fieldsOf(cells: readonly string[], { names, image, caption }: Columns): Record<string, string> {
  const others = names.flatMap((name, i) => (i === image || i === caption ? [] : [[name, cells[i]!] as const]))
  return { path: cells[image]!, ...Object.fromEntries(others) }
}

/**
 * Cells of a few thousand rows at a time. Only a piece of the file and the row that it cuts are in memory, because lists of
 * millions of pictures are longer than a string can be.
 */
async function* rowsOf(path: string, given: string | undefined): AsyncGenerator<Rows> {
  let separator = given
  let rest = ""
  let count = 0
  for await (const { piece, isLast } of piecesOf(path)) {
    let text = rest + piece
    const line = count === 0 ? separatorLine.exec(text) : null
    if (line) {
      separator ??= line[1]
      text = text.slice(line[0].length)
      count = 1
    }
    const start = endOfLineEnds(text)
    separator ??= findSeparator(text.slice(start))
    const { end: scanned, isOpen } = scanRows(text, start, separator, isLast)
    const end = beginOfLineEnds(text, scanned)
    rest = text
    if (end > start) {
      const first = count + 1 + blankLines(text.slice(0, start), count === 0)
      const rows = dsvFormat(separator).parseRows(text.slice(start, end))
      yield { rows, first }
      count = first + rows.length - 1
      rest = text.slice(end)
    }
    checkRest(path, rest, count, isOpen, isLast)
  }
}

/** The first line by which Excel is told the separator. */
const separatorLine = /^"?sep=([^"\r\n])"?(?=\r?\n)/i

interface Piece {
  readonly piece: string
  readonly isLast: boolean
}

/** Text without a byte-order mark. Throws UserError naming the line that is not UTF-8. */
async function* piecesOf(path: string): AsyncGenerator<Piece> {
  const decoder = new TextDecoder("utf-8", { fatal: true })
  try {
    for await (const chunk of withNewlines(utf8Chunks(unpacked(path, "none"), path))) {
      yield { piece: decoder.decode(chunk, { stream: true }), isLast: false }
    }
    yield { piece: decoder.decode(), isLast: true }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_ENCODING_INVALID_ENCODED_DATA") throw error
    for await (const { number, text } of readLines(path, "none")) {
      if (text === null) throw notText(`${path}, line ${number}`)
    }
    throw error
  }
}

/** Empty lines between two rows or before the first one; the end of a row itself does not count. */
function blankLines(lineEnds: string, isFirst: boolean): number {
  let count = isFirst ? 0 : -1
  for (let at = lineEnds.indexOf("\n"); at >= 0; at = lineEnds.indexOf("\n", at + 1)) count++
  return count
}

/**
 * Throws UserError where the rest of the pieces so far is longer than a row may be.
 *
 * @param count rows before it
 */
function checkRest(path: string, rest: string, count: number, isOpen: boolean, isLast: boolean): void {
  const start = endOfLineEnds(rest)
  const where = () => `${path}, row ${count + 1 + blankLines(rest.slice(0, start), count === 0)}`
  if (isOpen && (isLast || (rest.length > longestRow && rest.includes("\n", start)))) {
    const begin = quoted(rest.slice(start, beginOfLineEnds(rest, rest.length)))
    throw new UserError(
      `${where()}: the quote of a cell is not closed within ${longestRow} letters (${begin})`,
      'close it, and write a quote within quotes as ""',
    )
  }
  if (rest.length > longestLine) throw new UserError(`${where()} has more than ${longestLine} letters`)
}

const [quote, newline, carriageReturn] = [0x22, 0x0a, 0x0d]

/**
 * Where the last complete row ends, and whether a quoted cell is open after it. Only a quote at the beginning of a cell opens
 * one; two quotes in it stand for one, and any other letter after a quote ends the cell, as in d3-dsv.
 *
 * @param isLast whether nothing follows
 */
function scanRows(text: string, start: number, separator: string, isLast: boolean): { end: number; isOpen: boolean } {
  let [end, at] = [start, start]
  let lineEnd = text.indexOf("\n", start)
  for (;;) {
    const opening = openingQuote(text, at, separator)
    if (lineEnd >= 0 && lineEnd < at) lineEnd = text.indexOf("\n", at)
    for (; lineEnd >= 0 && (opening < 0 || lineEnd < opening); lineEnd = text.indexOf("\n", lineEnd + 1))
      end = lineEnd + 1
    if (opening < 0) return { end: isLast ? text.length : end, isOpen: false }
    const closing = closingQuote(text, opening)
    if (closing < 0 || (closing + 1 === text.length && !isLast)) return { end, isOpen: true }
    at = closing + 2
    if (text.charCodeAt(closing + 1) === newline) end = at
  }
}

/** The first quote at the beginning of a cell; a cell begins at `start`. -1 where there is none. */
function openingQuote(text: string, start: number, separator: string): number {
  const end = separator.charCodeAt(0)
  for (let at = text.indexOf('"', start); at >= 0; at = text.indexOf('"', at + 1)) {
    const before = text.charCodeAt(at - 1)
    if (at === start || before === end || before === newline || before === carriageReturn) return at
  }
  return -1
}

/** The quote that closes the cell which the quote at `opening` opens; -1 where there is none. */
function closingQuote(text: string, opening: number): number {
  let at = text.indexOf('"', opening + 1)
  while (at >= 0 && text.charCodeAt(at + 1) === quote) at = text.indexOf('"', at + 2)
  return at
}

/** The first letter that does not belong to a line end. */
function endOfLineEnds(text: string): number {
  let at = 0
  while (at < text.length && isLineEnd(text, at)) at++
  return at
}

/** Where the run of line ends before `end` begins. */
function beginOfLineEnds(text: string, end: number): number {
  let at = end
  while (at > 0 && isLineEnd(text, at - 1)) at--
  return at
}

function isLineEnd(text: string, at: number): boolean {
  const letter = text.charCodeAt(at)
  return letter === newline || letter === carriageReturn
}

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
