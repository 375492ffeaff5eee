/**
 * The width of each teacher's part of a row. No shard says it, but every part is a unit vector, so the sum of squares reaches
 * 1, 2, ... exactly where a part ends, in all rows at the same column. A wrong border would train the wrong loss, so a doubt is
 * an error; tools that report on rows of unknown soundness look otherwise (`reinforce/tools/unit-parts.ts`).
 */
import { UserError } from "../../core/errors.ts"
import type { EmbeddingRow } from "./rows/embedding-rows.ts"

/** bfloat16 and compact vectors are off by less, in length squared. */
const tolerance = 0.02

/** Published sets have 2 teachers; the search for each goes through the whole row. */
const mostTeachers = 64

/**
 * The widths found in rows of one width. Throws UserError where the parts are not unit vectors or the rows fit several
 * widths.
 */
export function findTeacherWidths(rows: readonly EmbeddingRow[], where: string): number[] {
  const width = rows[0]!.length
  const sums = rows.map(cumulative)
  const teachers = Math.round(sums[0]![width - 1]!)
  if (teachers > mostTeachers) throw unknown(where, `they would be of ${teachers} teachers, more than ${mostTeachers}`)
  const isUnit = teachers > 0 && sums.every((sum) => Math.abs(sum[width - 1]! - teachers) <= teachers * tolerance)
  if (!isUnit) throw unknown(where, "their parts are not unit vectors")
  const ends = Array.from({ length: teachers - 1 }, (_, i) => findEnd(sums, i + 1, where))
  return [...ends, width].map((end, i) => end - (ends[i - 1] ?? 0))
}

function cumulative(row: EmbeddingRow): Float64Array {
  let sum = 0
  return Float64Array.from(row, (value) => {
    sum += value * value
    return sum
  })
}

/** The column where the sum is nearest to `target` in all rows (by squares), if no other one is nearly as near. */
function findEnd(sums: readonly Float64Array[], target: number, where: string): number {
  const width = sums[0]!.length
  const distances = Array.from({ length: width }, (_, i) =>
    sums.reduce((total, sum) => total + (sum[i]! - target) ** 2, 0),
  )
  const best = distances.indexOf(Math.min(...distances))
  const isNear = distances[best]! <= sums.length * (target * tolerance) ** 2
  const others = distances.filter((_, i) => i !== best)
  if (isNear && distances[best]! * 2 < Math.min(...others)) return best + 1
  throw unknown(where, "the rows do not tell where a teacher's part ends")
}

function unknown(where: string, why: string): UserError {
  return new UserError(`${where}: the widths of the teachers' embeddings cannot be found: ${why}`, "give teacherWidths")
}

/** Throws UserError where the widths given do not add up to a row. */
export function checkTeacherWidths(widths: readonly number[], row: number, where: string): readonly number[] {
  const sum = widths.reduce((total, width) => total + width, 0)
  if (sum === row && widths.every((width) => Number.isInteger(width) && width > 0)) return widths
  throw new UserError(
    `${where}: rows of embeddings are ${row} wide, and teacherWidths [${widths.join(", ")}] add up to ${sum}`,
  )
}
