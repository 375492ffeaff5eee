/** Results that are printed, or written to a file, as they come: a table, JSON or CSV of any number of rows. */
import { printable } from "../core/printable.ts"
import { prepareFile, writeAtomically } from "../host/files/files.ts"
import { type Column, tableLine, textWidth } from "./table.ts"

type Rows<Row> = Iterable<Row> | AsyncIterable<Row>

/** A JSON array with a value on each line. It is closed where the rows end early, because of an error or Ctrl-C. */
export async function* jsonChunks(rows: Rows<object>): AsyncGenerator<string> {
  let count = 0
  try {
    for await (const row of rows) yield `${count++ === 0 ? "[" : ","}\n  ${JSON.stringify(row)}`
  } catch (error) {
    if (count > 0) yield "\n]\n"
    throw error
  }
  yield count > 0 ? "\n]\n" : "[]\n"
}

type Cell = string | number

/** Lines of RFC 4180, the first of them with the titles, but for its line breaks. */
export async function* csvChunks(titles: readonly string[], rows: Rows<readonly Cell[]>): AsyncGenerator<string> {
  yield csvLine(titles)
  for await (const row of rows) yield csvLine(row)
}

function csvLine(cells: readonly Cell[]): string {
  return `${cells.map(String).map(csvCell).join(",")}\n`
}

function csvCell(text: string): string {
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** A column whose widest cell is known before its rows are. */
interface SizedColumn extends Column {
  readonly widest: number
}

/** The width of a column that will hold these texts. */
export function widest(texts: readonly string[]): number {
  return texts.reduce((width, text) => Math.max(width, textWidth(printable(text))), 0)
}

/** Aligned columns. Where there is no row there is no line of titles. */
export async function* tableChunks(
  columns: readonly SizedColumn[],
  rows: Rows<readonly string[]>,
): AsyncGenerator<string> {
  const widths = columns.map((column) => Math.max(column.widest, textWidth(column.title)))
  const line = (cells: readonly string[]) => `${tableLine(columns, widths, cells)}\n`
  let isFirst = true
  for await (const row of rows) {
    if (isFirst) yield line(columns.map(({ title }) => title))
    isFirst = false
    yield line(row)
  }
}

/** Where results go: a file that is complete or absent, or standard output. Throws UserError where the file cannot be written. */
export async function deliver(
  chunks: AsyncIterable<string>,
  out: string | undefined,
  writeOut: ((text: string) => void) | undefined,
): Promise<void> {
  if (out !== undefined) return writeAtomically(out, chunks)
  for await (const chunk of chunks) writeOut?.(chunk)
}

/** Before any work: throws UserError where the file could not be written. */
export async function prepareOut(out: string | undefined): Promise<void> {
  if (out !== undefined) await prepareFile(out)
}
