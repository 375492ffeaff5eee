/** Pictures and captions in columns of a CSV or TSV file with a head line, as open_clip's `--csv-*` options name them. */
import { dsvFormat } from "d3-dsv"
import { quoted, UserError } from "../../../core/errors.ts"
import { nearestNames } from "../../../core/nearest.ts"
import { type Line, readLines } from "../../reinforced/lines.ts"
import { listPairs, type Pair } from "./pairs.ts"
import type { SampleList } from "./place.ts"

export interface CsvOptions {
  readonly imageColumn?: string
  readonly captionColumn?: string
  readonly separator?: string
}

/** Of columns, in a message. */
const mostNames = 50

const separators = ["\t", ",", ";", "|"]

/** Of a row over several lines. A quote that is not closed would take in all that follows. */
const longestRow = 2 ** 20

/** Paths are relative to the file's folder. Throws UserError on a column that is not there and a row without its cells. */
export async function listCsv(path: string, options: CsvOptions): Promise<SampleList> {
  let columns: Columns | null = null
  const pairs: Pair[] = []
  for await (const cells of rowsOf(path, options.separator)) {
    if (columns) pairs.push(pairOf(path, cells, columns, pairs.length + 2))
    else columns = columnsOf(path, cells, options)
  }
  if (pairs.length === 0) throw new UserError(`${path} has no rows below its head`)
  return listPairs(path, pairs)
}

interface Columns {
  readonly count: number
  readonly image: number
  readonly caption: number
}

function columnsOf(path: string, head: readonly string[], options: CsvOptions): Columns {
  const names = head.map((name) => name.trim())
  const image = columnOf(path, names, options.imageColumn ?? "filepath", "imageColumn")
  const caption = columnOf(path, names, options.captionColumn ?? "title", "captionColumn")
  return { count: names.length, image, caption }
}

function pairOf(path: string, cells: readonly string[], { count, image, caption }: Columns, row: number): Pair {
  if (cells.length === count) return { image: cells[image]!, captions: [cells[caption]!] }
  throw new UserError(
    `${path}, row ${row} has ${cells.length} cells, and the head has ${count}`,
    "quote cells that hold the separator, or name another one",
  )
}

/** Cells of one row after the other; blank lines at the end are none. */
async function* rowsOf(path: string, given: string | undefined): AsyncGenerator<string[]> {
  let format: ReturnType<typeof dsvFormat> | null = null
  let separator = given
  for await (const record of recordsOf(path, (line) => (separator ??= findSeparator(line)))) {
    format ??= dsvFormat(separator!)
    yield* record === "" ? [[""]] : format.parseRows(record)
  }
}

/**
 * Lines, joined where a quoted cell has more than one. Only one is held, for lists of millions of pictures are longer
 * than a text can be.
 *
 * @param separatorOf told the first line
 */
async function* recordsOf(path: string, separatorOf: (line: string) => string): AsyncGenerator<string> {
  let record: string[] = []
  let length = 0
  let next = 1
  for await (const line of readLines(path, "none")) {
    const text = textOf(path, line)
    // Blank lines are counted and not given; those at the end are of no row.
    const blank = line.number - next
    if (record.length === 0 && withoutReturns(text) === "") continue
    next = line.number + 1
    if (record.length > 0 && blank > longestRow) break
    if (record.length === 0) for (let i = 0; i < blank; i++) yield ""
    else record.push("\n".repeat(blank + 1))
    const staysOpen = isOpen(text, separatorOf(text), record.length > 0)
    record.push(text)
    length += blank + 1 + text.length
    if (staysOpen && length > longestRow) break
    if (staysOpen) continue
    yield withoutReturns(record.join(""))
    ;[record, length] = [[], 0]
  }
  if (record.length > 0) throw unclosed(path, record.join(""))
}

/** Without the carriage returns at the end. */
function withoutReturns(text: string): string {
  let end = text.length
  while (text.charCodeAt(end - 1) === carriageReturn) end--
  return text.slice(0, end)
}

function textOf(path: string, { number, bytes, text }: Line): string {
  if (text === null) throw new UserError(`${path}, line ${number}: its ${bytes} bytes are more than a line may have`)
  return number === 1 ? text.replace(/^\ufeff/, "") : text
}

function unclosed(path: string, record: string): UserError {
  return new UserError(
    `${path}: the quote of a cell is not closed within ${longestRow} letters (${quoted(record)})`,
    'close it, and write a quote within quotes as ""',
  )
}

const [quote, carriageReturn] = [0x22, 0x0d]

/**
 * Whether a line ends within a quoted cell. Only a quote at a cell's begin opens one, as d3-dsv has it.
 *
 * @param isQuoted whether it begins within one
 */
function isOpen(text: string, separator: string, isQuoted: boolean): boolean {
  const end = separator.charCodeAt(0)
  let isBegin = !isQuoted
  for (let at = 0; at < text.length; at++) {
    const letter = text.charCodeAt(at)
    if (!isQuoted) {
      isQuoted = isBegin && letter === quote
      isBegin = letter === end || letter === carriageReturn
    } else if (letter === quote) {
      isQuoted = text.charCodeAt(at + 1) === quote
      isBegin = !isQuoted
      // A second quote stands for one; anything else ends the cell.
      at++
    }
  }
  return isQuoted
}

/** The one that is most often in the first line. */
export function findSeparator(text: string): string {
  const line = text.slice(0, text.search(/[\r\n]|$/))
  const count = (separator: string) => line.split(separator).length
  return separators.reduce((best, next) => (count(next) > count(best) ? next : best))
}

/** How the commands call them. */
const flagOf = {
  imageColumn: "--csv-img-key (finetune: --image-column)",
  captionColumn: "--csv-caption-key (finetune: --caption-column)",
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
