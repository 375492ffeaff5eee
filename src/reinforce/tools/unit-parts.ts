/**
 * Where one teacher's part of a concatenated vector ends and the next begins, found in the vectors themselves: each part
 * is of unit length, so the running sum of squares passes 1, 2, ... at the borders, in every row. Unlike training, which fits
 * the borders to sound rows and fails where it is in doubt (`data/training/teacher-widths.ts`), tools look at rows that may be
 * faulty: each part counts by itself and by its worst row, and where they do not tell, the answer is that nobody knows.
 */
import type { Embeddings } from "../../data/reinforced/sample.ts"

/** Squares sum up to 1 within this: bfloat16 rounds each value by 0.4 % at most, and the errors cancel. */
const tolerance = 4e-3

/** Published sets are of 2; each is looked for in the whole row. */
const mostTeachers = 64

/**
 * Widths of the teachers, whose sum is the rows' width; null where the parts are not of unit length. Some tens of rows
 * are needed to tell a border from columns that are small by chance.
 */
export function widthsOfUnitParts(rows: readonly Embeddings[]): number[] | null {
  const [first] = rows
  const used = rows.filter(({ width, rows: count }) => width === first?.width && count > 0)
  if (!first || used.length === 0) return null
  const teachers = Math.round(rowSquares(used[0]!, 0, first.width))
  if (!(teachers <= mostTeachers)) return null
  const borders = [0]
  for (let teacher = 1; teacher <= teachers; teacher++) {
    const border = teacher === teachers ? first.width : borderOf(used, borders.at(-1)!, first.width)
    if (border === null || !(deviation(used, borders.at(-1)!, border) <= tolerance)) return null
    borders.push(border)
  }
  return borders.length < 2 ? null : borders.slice(1).map((border, i) => border - borders[i]!)
}

/** The column before which the squares from `start` on sum up to 1 best, in the worst of the rows. */
function borderOf(rows: readonly Embeddings[], start: number, width: number): number | null {
  const worst = new Float64Array(width - start)
  for (const { values, rows: count } of rows) {
    for (let row = 0; row < count; row++) noteSums(values.subarray(row * width + start, (row + 1) * width), worst)
  }
  const best = worst.reduce((least, value, i) => (value < worst[least]! ? i : least), 0)
  return worst[best]! <= tolerance ? start + best + 1 : null
}

function noteSums(values: Float32Array, worst: Float64Array): void {
  let sum = 0
  for (let i = 0; i < values.length; i++) {
    sum += values[i]! ** 2
    worst[i] = Math.max(worst[i]!, Math.abs(sum - 1))
  }
}

/** How far a part's squared length is from 1, in the worst row; NaN where a value is not a number. */
function deviation(rows: readonly Embeddings[], from: number, to: number): number {
  let worst = 0
  for (const embeddings of rows) {
    for (let row = 0; row < embeddings.rows; row++) {
      worst = Math.max(worst, Math.abs(rowSquares(embeddings, row, to, from) - 1))
    }
  }
  return worst
}

function rowSquares({ values, width }: Embeddings, row: number, to: number, from = 0): number {
  let sum = 0
  for (let i = row * width + from; i < row * width + to; i++) sum += values[i]! ** 2
  return sum
}
