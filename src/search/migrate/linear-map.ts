/**
 * A linear map from one model's vectors to another's, learnt from pictures that both have encoded: ridge regression with a
 * constant, or the orthogonal map of Procrustes where that is nearer on pictures that were held out.
 */
import { assert } from "../../core/errors.ts"
import {
  cholesky,
  difference,
  type Matrix,
  matrix,
  orthogonalFactor,
  product,
  solveCholesky,
  sum,
  transposedProduct,
} from "./matrix.ts"

export interface LinearMap {
  readonly kind: "ridge" | "procrustes"
  /** Regularisation, in parts of the mean variance of a component; null: none. */
  readonly ridge: number | null
  /** [from + 1, to]; the last row is added to all. */
  readonly weights: Matrix
}

export interface FittedMap {
  /** Learnt from all pictures. */
  readonly map: LinearMap
  /** Unit vectors [N, to]; each picture's by a map that was learnt without it. */
  readonly heldOut: Float32Array
  /** Mean cosine of those with the true ones. */
  readonly meanCosine: number
}

const folds = 5
/** In parts of the mean variance; the smallest is for vectors that are related exactly. */
const ridges = [1e-9, 1e-6, 1e-4, 1e-3, 1e-2, 1e-1]

/**
 * Pauses often: 2,000 pictures of 512 values take seconds.
 *
 * @param from [N, fromDim] @param to [N, toDim]; both finite, of unit length, in a random order; N >= 10
 */
export function* fitLinearMap(
  from: Float32Array,
  to: Float32Array,
  fromDim: number,
  toDim: number,
): Generator<void, FittedMap> {
  const [x, y] = [withConstant(from, fromDim), matrix(to.length / toDim, toDim, Float64Array.from(to))]
  assert(x.rows === y.rows && x.rows >= 2 * folds, "a map is learnt from ten pictures or more")
  const parts = Array.from({ length: folds }, (_, fold) => partOf(x, fold))
  const sums: Sums[] = []
  for (const [fold, part] of parts.entries()) {
    sums.push(sumsOf(part, partOf(y, fold)))
    yield
  }
  const all = sums.reduce((a, b) => ({ xx: sum(a.xx, b.xx), xy: sum(a.xy, b.xy) }))
  const best = yield* bestChoice(parts, sums, all, to)
  return {
    map: { ...best.choice, weights: fit(all, best.choice)! },
    heldOut: best.heldOut,
    meanCosine: meanProduct(best.heldOut, to, toDim),
  }
}

interface Tried {
  readonly choice: Choice
  readonly heldOut: Float32Array
  readonly error: number
}

/** The one whose maps are nearest to `to` [N, toDim] on pictures that each was learnt without. */
function* bestChoice(
  parts: readonly Matrix[],
  sums: readonly Sums[],
  all: Sums,
  to: Float32Array,
): Generator<void, Tried> {
  let best: Tried | null = null
  for (const choice of choices) {
    const heldOut = yield* heldOutBy(choice, parts, sums, all, to.length)
    if (heldOut === null) continue
    // Not the cosine, which tells small errors only by their square.
    const error = heldOut.reduce((sum, value, i) => sum + (value - to[i]!) ** 2, 0)
    if (best === null || error < best.error) best = { choice, heldOut, error }
  }
  assert(best !== null, "a matrix with a ridge is positive definite")
  return best
}

/** Null where a fold's matrix is not positive definite. */
function* heldOutBy(
  choice: Choice,
  parts: readonly Matrix[],
  sums: readonly Sums[],
  all: Sums,
  length: number,
): Generator<void, Float32Array | null> {
  const heldOut = new Float32Array(length)
  for (const [fold, part] of parts.entries()) {
    const { xx, xy } = sums[fold]!
    const map = fit({ xx: difference(all.xx, xx), xy: difference(all.xy, xy) }, choice)
    if (map === null) return null
    spread(mapRows(part, map), map.columns, fold, heldOut)
    yield
  }
  return heldOut
}

/** Vectors [N, from] -> unit vectors [N, to]; rows of NaN stay. */
export function applyMap({ weights }: LinearMap, vectors: Float32Array): Float32Array {
  return mapRows(withConstant(vectors, weights.rows - 1), weights)
}

interface Choice {
  readonly kind: LinearMap["kind"]
  readonly ridge: number | null
}

const choices: readonly Choice[] = [
  ...ridges.map((ridge) => ({ kind: "ridge", ridge }) as const),
  { kind: "procrustes", ridge: null },
]

/** What both ways need of the pictures: xT x and xT y. */
interface Sums {
  readonly xx: Matrix
  readonly xy: Matrix
}

const sumsOf = (x: Matrix, y: Matrix): Sums => ({ xx: transposedProduct(x, x), xy: transposedProduct(x, y) })

/** Null where the matrix is not positive definite. */
function fit(sums: Sums, { ridge }: Choice): Matrix | null {
  return ridge === null ? rotation(sums) : ridgeRegression(sums, ridge)
}

/** Without a constant: its row is zeros. */
function rotation({ xy: { rows, columns, data } }: Sums): Matrix {
  const weights = matrix(rows, columns)
  weights.data.set(orthogonalFactor(matrix(rows - 1, columns, data.slice(0, (rows - 1) * columns))).data)
  return weights
}

function ridgeRegression({ xx, xy }: Sums, ridge: number): Matrix | null {
  const { rows: size } = xx
  const raised = matrix(size, size, xx.data.slice())
  // The constant's own place is not a component's variance.
  const variances = Array.from({ length: size - 1 }, (_, i) => xx.data[i * (size + 1)]!)
  const added = (ridge * variances.reduce((sum, value) => sum + value, 0)) / (size - 1)
  for (let i = 0; i < size; i++) raised.data[i * (size + 1)]! += added
  const lower = cholesky(raised)
  return lower && solveCholesky(lower, xy)
}

function withConstant(vectors: Float32Array, dim: number): Matrix {
  const rows = vectors.length / dim
  const out = matrix(rows, dim + 1)
  for (let i = 0; i < rows; i++) {
    out.data.set(vectors.subarray(i * dim, (i + 1) * dim), i * (dim + 1))
    out.data[i * (dim + 1) + dim] = 1
  }
  return out
}

/** Unit length in float64: a vector that is shorter than float32's smallest is none. */
function mapRows(x: Matrix, weights: Matrix): Float32Array {
  const { data, columns } = product(x, weights)
  for (let at = 0; at < data.length; at += columns) {
    const row = data.subarray(at, at + columns)
    const length = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0))
    for (let i = 0; i < columns; i++) row[i] = length > 0 ? row[i]! / length : Number.NaN
  }
  return Float32Array.from(data)
}

/** Every fifth row. */
function partOf(m: Matrix, fold: number): Matrix {
  const rows = Math.ceil((m.rows - fold) / folds)
  const part = matrix(rows, m.columns)
  for (let i = 0; i < rows; i++) {
    const at = (i * folds + fold) * m.columns
    part.data.set(m.data.subarray(at, at + m.columns), i * m.columns)
  }
  return part
}

function spread(rows: Float32Array, columns: number, fold: number, into: Float32Array): void {
  for (let i = 0; i * columns < rows.length; i++)
    into.set(rows.subarray(i * columns, (i + 1) * columns), (i * folds + fold) * columns)
}

function meanProduct(a: Float32Array, b: Float32Array, dim: number): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0) / (a.length / dim)
}
