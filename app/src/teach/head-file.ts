/**
 * A head as label vectors, which `mobileclip classify --baked` and `clip.classify` take: unit rows with one scale. A softmax does
 * not change where the same vector is taken from all rows, so the centre of the sphere that all rows lie on is taken away: what
 * is left has one length.
 */
import { type LabelVectors, UserError } from "mobileclip/browser"

/** Who the head is for. */
export type HeadModel = Pick<LabelVectors, "model" | "weights" | "embedDim">

/** The label itself is what was taught: no prompt was written around it. */
const templates = ["{}"]

/**
 * @param weights a row of `embedDim` values for each label
 * @throws UserError where the rows lie on a line, so that there is no such sphere
 */
export function headVectors(weights: readonly Float64Array[], labels: readonly string[], of: HeadModel): LabelVectors {
  const [first] = weights as [Float64Array]
  const others = weights.slice(1).map((row) => row.map((value, i) => value - first[i]!))
  const centre = centreOf(others)
  const radius = lengthOf(centre)
  const rows = [new Float64Array(first.length), ...others].map((row) => row.map((value, i) => value - centre[i]!))
  const vectors = new Float32Array(labels.length * of.embedDim)
  rows.forEach((row, k) => {
    vectors.set(
      row.map((value) => value / lengthOf(row)),
      k * of.embedDim,
    )
  })
  return { ...of, logitScale: radius, labels, templates, vectors }
}

/** The point as far from 0 as from each row, in the space that they span: 2 row * centre = row * row. */
function centreOf(rows: readonly Float64Array[]): Float64Array {
  const products = rows.map((a) => rows.map((b) => product(a, b)))
  const shares = solve(
    products,
    rows.map((row) => product(row, row) / 2),
  )
  const centre = new Float64Array(rows[0]!.length)
  rows.forEach((row, k) => {
    for (let i = 0; i < centre.length; i++) centre[i]! += shares[k]! * row[i]!
  })
  return centre
}

/** Gauss' elimination with pivots. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const n = right.length
  const rows = matrix.map((row, i) => [...row, right[i]!])
  const largest = Math.max(...rows.flat().map(Math.abs))
  for (let column = 0; column < n; column++) {
    const pivot = rows
      .slice(column)
      .reduce((best, row) => (Math.abs(row[column]!) > Math.abs(best[column]!) ? row : best))
    if (Math.abs(pivot[column]!) < largest * 1e-9) throw alike
    rows.splice(rows.indexOf(pivot), 1)
    rows.splice(column, 0, pivot)
    for (const row of rows.slice(column + 1)) {
      const factor = row[column]! / pivot[column]!
      for (let i = column; i <= n; i++) row[i]! -= factor * pivot[i]!
    }
  }
  const result = new Array<number>(n).fill(0)
  for (let i = n - 1; i >= 0; i--) {
    const known = result.reduce((sum, value, j) => sum + (j > i ? rows[i]![j]! * value : 0), 0)
    result[i] = (rows[i]![n]! - known) / rows[i]![i]!
  }
  return result
}

const alike = new UserError(
  "the groups cannot be told apart: two of them have the same pictures, or one is between two others",
  "give each group pictures of its own",
)

function product(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0)
}

function lengthOf(row: Float64Array): number {
  return Math.sqrt(product(row, row))
}
