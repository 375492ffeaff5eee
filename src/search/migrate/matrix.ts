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

/** a [n, p], b [n, q] -> aT b [p, q] */
export function transposedProduct(a: Matrix, b: Matrix): Matrix {
  const out = matrix(a.columns, b.columns)
  for (let n = 0; n < a.rows; n++)
    for (let i = 0; i < a.columns; i++)
      addScaled(out.data, i * b.columns, b.data, n * b.columns, b.columns, a.data[n * a.columns + i]!)
  return out
}

/** a [n, p], b [p, q] -> a b [n, q] */
export function product(a: Matrix, b: Matrix): Matrix {
  const out = matrix(a.rows, b.columns)
  for (let n = 0; n < a.rows; n++)
    for (let i = 0; i < a.columns; i++)
      addScaled(out.data, n * b.columns, b.data, i * b.columns, b.columns, a.data[n * a.columns + i]!)
  return out
}

export function difference(a: Matrix, b: Matrix): Matrix {
  return matrix(
    a.rows,
    a.columns,
    a.data.map((value, i) => value - b.data[i]!),
  )
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
  const q = b.columns
  const x = b.data.slice()
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) addScaled(x, i * q, x, k * q, q, -l[i * n + k]!)
    divide(x, i * q, q, l[i * n + i]!)
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) addScaled(x, i * q, x, k * q, q, -l[k * n + i]!)
    divide(x, i * q, q, l[i * n + i]!)
  }
  return matrix(n, q, x)
}

/**
 * The nearest matrix with orthonormal rows or columns, whichever are fewer: U VT of the singular value decomposition, by the
 * iteration of Newton and Schulz. Directions below 1e-6 of the largest one may stay shorter than 1.
 */
export function orthogonalFactor(m: Matrix): Matrix {
  const length = Math.hypot(Math.sqrt(m.data.reduce((sum, value) => sum + value * value, 0)))
  let x = matrix(
    m.rows,
    m.columns,
    m.data.map((value) => value / (length || 1)),
  )
  for (let step = 0; step < mostSteps; step++) {
    const isWide = m.rows < m.columns
    const gram = isWide ? transposedProduct(transpose(x), transpose(x)) : transposedProduct(x, x)
    const cubed = isWide ? product(gram, x) : product(x, gram)
    const next = matrix(
      m.rows,
      m.columns,
      x.data.map((value, i) => 1.5 * value - 0.5 * cubed.data[i]!),
    )
    const change = next.data.reduce((most, value, i) => Math.max(most, Math.abs(value - x.data[i]!)), 0)
    x = next
    if (change < 1e-12) break
  }
  return x
}

/** Each lengthens a short direction by half: 1.5^40 is 1e7. */
const mostSteps = 40

function transpose(m: Matrix): Matrix {
  const out = matrix(m.columns, m.rows)
  for (let i = 0; i < m.rows; i++)
    for (let j = 0; j < m.columns; j++) out.data[j * m.rows + i] = m.data[i * m.columns + j]!
  return out
}

function addScaled(
  to: Float64Array,
  at: number,
  from: Float64Array,
  start: number,
  length: number,
  scale: number,
): void {
  for (let i = 0; i < length; i++) to[at + i]! += scale * from[start + i]!
}

function divide(values: Float64Array, at: number, length: number, by: number): void {
  for (let i = at; i < at + length; i++) values[i]! /= by
}
