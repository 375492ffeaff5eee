/** Results as aligned columns of text. */
import { printable } from "../core/printable.ts"

export interface Column {
  readonly title: string
  /** Default is left; numbers read best on the right. */
  readonly align?: "left" | "right"
}

/** A line of titles and one for each row, without a line break at the end. Unprintable characters are shown as escapes. */
export function textTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const lines = [columns.map(({ title }) => title), ...rows.map((row) => row.map(printable))]
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => textWidth(line[i]!))))
  return lines.map((line) => tableLine(columns, widths, line)).join("\n")
}

/** A line of a table whose columns are so wide. */
export function tableLine(columns: readonly Column[], widths: readonly number[], cells: readonly string[]): string {
  const padded = cells.map((cell, i) => pad(printable(cell), widths[i]!, columns[i]!.align))
  return padded.join("  ").trimEnd()
}

/** 0.0834 -> "8.3 %" */
export function spacedPercent(share: number, digits = 1): string {
  return `${(100 * share).toFixed(digits)} %`
}

/** The columns that `text` takes on a terminal: two for East Asian characters and emoji, none for combining marks. */
export function textWidth(text: string): number {
  const narrow = text.replaceAll(/\p{M}|\u200d/gu, "")
  return [...narrow].length + (narrow.match(wide)?.length ?? 0)
}

const wide = /\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Script=Hangul}|\p{Emoji_Presentation}|[！-～]/gu

function pad(cell: string, width: number, align: Column["align"] = "left"): string {
  const space = " ".repeat(Math.max(0, width - textWidth(cell)))
  return align === "right" ? space + cell : cell + space
}
