/** How rows are written in a list of pictures: found, checked and read in the bytes of a few thousand at a time, or of one. */

import type { UserError } from "../../../../core/errors.ts"

export interface Pair {
  readonly image: string
  readonly captions: readonly string[]
}

/** Where a row has its picture's path and its only caption, as they are: neither is written in another way than it reads. */
export interface Spans {
  readonly imageStart: number
  readonly imageEnd: number
  readonly captionStart: number
  readonly captionEnd: number
}

/** Rows of UTF-8 without a byte-order mark at the beginning, in which LF or CR with LF ends lines. */
export interface RowFormat {
  /**
   * Finds the row that begins at `start`, and where the next one begins; -1 where the bytes end before that can be told.
   *
   * @param isLast whether nothing follows the bytes
   */
  next(bytes: Buffer, start: number, isLast: boolean): number
  /**
   * Whether the row found last names a picture: not if it is blank or a head. Throws UserError where it is damaged.
   *
   * @param row its number as people count it, from 1
   */
  lists(row: number): boolean
  /** Places in the row found last; null where its texts are written in another way. They last until the next row. */
  spans(): Spans | null
  /** What the row found last names. Throws UserError where the picture is not on this machine. */
  pair(): Pair
  /** The picture's path as it is listed, and what else the row has, without its caption. */
  fields(): Readonly<Record<string, unknown>>
  /** Throws UserError where the row that begins at `start` does not end, or not for too long. */
  checkRest(bytes: Buffer, start: number, row: number, isLast: boolean): void
  /** What was found of the way in which the list is written: JSON that `ListKind.open` takes. */
  readonly dialect: unknown
}

/** A format with its options. */
export interface ListKind {
  /** Tells the format and its options from others: an index is made for one. */
  readonly name: string
  /** For a list from its beginning; with a dialect, for rows anywhere in it. Throws UserError where that is not one. */
  open(dialect?: unknown): RowFormat
  /** What is said of a list without rows. */
  empty(): UserError
  /** What is said of a line, counted from 1, that is not UTF-8. */
  notUtf8(line: number): UserError
}
