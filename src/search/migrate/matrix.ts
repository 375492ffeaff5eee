/** What fitting a linear map needs of linear algebra, in float64 and row-major. */
import { assert } from "../../core/errors.ts"

export interface Matrix {
  readonly rows: number
  readonly columns: number
  readonly data: Float64Array
}

export function matrix(rows: number, columns: number, data = new Float64Array(rows * columns)): Matrix {
  assert(data.length === rows * columns, "a matrix has rows x columns values")
  return { rows, columns, data }
}

/** Rows of `b` that stay in the processor's cache while all rows of the product take them up. */
const rowsAtOnce = 64

/** a [n, p], b [n, q] -> aT b [p, q] */
export function transposedProduct(a: Matrix, b: Matrix): Matrix {
  const out = matrix(a.columns, b.columns)
  for (let first = 0; first < a.rows; first += rowsAtOnce) {
    const count = Math.min(rowsAtOnce, a.rows - first)
    const rows = rowsOf(b, first, count)
    for (let i = 0; i < a.columns; i++)
      addRows(rowsOf(out, i, 1), rows, count, (n) => a.data[(first + n) * a.columns + i]!)
  }
  return out
}

/** a [n, p], b [p, q] -> a b [n, q] */
export function product(a: Matrix, b: Matrix): Matrix {
  const out = matrix(a.rows, b.columns)
  for (let n = 0; n < a.rows; n++) addRows(rowsOf(out, n, 1), b.data, b.rows, (i) => a.data[n * a.columns + i]!)
  return out
}

export function sum(a: Matrix, b: Matrix): Matrix {
  return combined(1, a, 1, b)
}

export function difference(a: Matrix, b: Matrix): Matrix {
  return combined(1, a, -1, b)
}

/** The lower triangle L of a = L LT; null where `a` is not positive definite. */
export function cholesky(a: Matrix): Matrix | null {
  const n = a.rows
  const lower = matrix(n, n)
  const l = lower.data
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      let sum = a.data[i * n + j]!
      for (let k = 0; k < j; k++) sum -= l[i * n + k]! * l[j * n + k]!
      if (i !== j) l[i * n + j] = sum / l[j * n + j]!
      else if (sum > 0) l[i * n + i] = Math.sqrt(sum)
      else return null
    }
  return lower
}

/** x of (L LT) x = b [n, q] */
export function solveCholesky({ rows: n, data: l }: Matrix, b: Matrix): Matrix {
  const x = matrix(n, b.columns, b.data.slice())
  for (let i = 0; i < n; i++) {
    const row = rowsOf(x, i, 1)
    addRows(row, x.data, i, (k) => -l[i * n + k]!)
    divide(row, l[i * n + i]!)
  }
  for (let i = n - 1; i >= 0; i--) {
    const row = rowsOf(x, i, 1)
    const after = n - 1 - i
    addRows(row, rowsOf(x, i + 1, after), after, (k) => -l[(i + 1 + k) * n + i]!)
    divide(row, l[i * n + i]!)
  }
  return x
}

/**
 * The nearest matrix with orthonormal rows or columns, whichever are fewer: U VT of the singular value decomposition. Halley's
 * iteration, whose weights are those for the shortest direction that is left (Nakatsukasa, Bai and Gygi 2010, "QDWH").
 * Directions below 1e-8 of the largest one may stay shorter than 1.
 */
export function orthogonalFactor(m: Matrix): Matrix {
  if (m.rows < m.columns) return transpose(orthogonalFactor(transpose(m)))
  const length = Math.sqrt(m.data.reduce((sum, value) => sum + value * value, 0))
  let x = scaled(m, 1 / (length || 1))
  let shortest = leastShortest
  for (let step = 0; step < mostSteps; step++) {
    const [a, b, c] = halleyWeights(shortest)
    const next = combined(b / c, x, a - b / c, timesInverse(x, c))
    const change = next.data.reduce((most, value, i) => Math.max(most, Math.abs(value - x.data[i]!)), 0)
    x = next
    shortest = Math.min(1, (shortest * (a + b * shortest ** 2)) / (1 + c * shortest ** 2))
    if (change < 1e-12) break
  }
  return x
}

/** A smaller one would make the first system worse conditioned; each step triples directions that are shorter. */
const leastShortest = 1e-3
const mostSteps = 16

function halleyWeights(shortest: number): [a: number, b: number, c: number] {
  const square = shortest ** 2
  const d = Math.cbrt((4 * (1 - square)) / square ** 2)
  const a = Math.sqrt(1 + d) + Math.sqrt(8 - 4 * d + (8 * (2 - square)) / (square * Math.sqrt(1 + d))) / 2
  const b = (a - 1) ** 2 / 4
  return [a, b, a + b - 1]
}

/** x (1 + c xT x)^-1 */
function timesInverse(x: Matrix, c: number): Matrix {
  const gram = scaled(transposedProduct(x, x), c)
  for (let i = 0; i < gram.rows; i++) gram.data[i * gram.columns + i]! += 1
  const lower = cholesky(gram)
  assert(lower !== null, "one more than a square is positive definite")
  return transpose(solveCholesky(lower, transpose(x)))
}

function transpose(m: Matrix): Matrix {
  const out = matrix(m.columns, m.rows)
  for (let i = 0; i < m.rows; i++)
    for (let j = 0; j < m.columns; j++) out.data[j * m.rows + i] = m.data[i * m.columns + j]!
  return out
}

function scaled({ rows, columns, data }: Matrix, by: number): Matrix {
  return matrix(
    rows,
    columns,
    data.map((value) => by * value),
  )
}

/** p a + q b */
function combined(p: number, a: Matrix, q: number, b: Matrix): Matrix {
  return matrix(
    a.rows,
    a.columns,
    a.data.map((value, i) => p * value + q * b.data[i]!),
  )
}

/** A view. */
function rowsOf({ data, columns }: Matrix, first: number, count: number): Float64Array {
  return data.subarray(first * columns, (first + count) * columns)
}

/** Adds rows of `from`, each scaled, to the row `to`: four at a time, so that `to` is read and written less often. */
function addRows(to: Float64Array, from: Float64Array, count: number, scaleOf: (row: number) => number): void {
  const width = to.length
  const fours = count - (count % 4)
  for (let row = 0; row < fours; row += 4) {
    const [a, b, c, d] = [scaleOf(row), scaleOf(row + 1), scaleOf(row + 2), scaleOf(row + 3)]
    const [at, second, third, fourth] = [row * width, (row + 1) * width, (row + 2) * width, (row + 3) * width]
    for (let i = 0; i < width; i++)
      to[i]! += a * from[at + i]! + b * from[second + i]! + c * from[third + i]! + d * from[fourth + i]!
  }
  for (let row = fours; row < count; row++) {
    const scale = scaleOf(row)
    for (let i = 0; i < width; i++) to[i]! += scale * from[row * width + i]!
  }
}

function divide(row: Float64Array, by: number): void {
  for (let i = 0; i < row.length; i++) row[i]! /= by
}
