/**
 * A linear head: multinomial logistic regression on unit vectors, L2, without a bias (pictures of one model share a direction,
 * which takes its place). It is solved by Newton's method, with conjugate gradients inside.
 *
 * Weights are sums of the pictures' vectors, W = A'X, so that all is computed with the products of pictures, G = XX'; leaving a
 * picture out is a weight of 0, and nothing is built anew.
 *
 * N pictures, K groups, d values of a vector. A, Z and P are [N, K], row-major.
 */

export interface Problem {
  /** Products of all pairs [N, N]. */
  readonly products: Float64Array
  /** The group of each picture. */
  readonly groups: readonly number[]
  readonly count: number
}

/** @param vectors N unit vectors [d] */
export function problemOf(vectors: readonly Float32Array[], groups: readonly number[], count: number): Problem {
  const n = vectors.length
  const products = new Float64Array(n * n)
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) products[i * n + j] = products[j * n + i] = dot(vectors[i]!, vectors[j]!)
  return { products, groups, count }
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}

export interface Fit {
  /** A [N, K] */
  readonly coefficients: Float64Array
  /** GA [N, K]: what the head says of each picture. */
  readonly logits: Float64Array
}

export interface FitOptions {
  /** Factor on half the squared length of W, beside the sum of the pictures' losses. */
  readonly strength: number
  /** A picture that does not count. */
  readonly leftOut?: number | undefined
  /** Where to begin. */
  readonly from?: Fit | undefined
  /** Largest remaining value of the gradient. */
  readonly tolerance?: number
}

const mostSteps = 50

export function fit(problem: Problem, { strength, leftOut = -1, from, tolerance = 1e-6 }: FitOptions): Fit {
  const { groups, count } = problem
  const size = groups.length * count
  const coefficients = from ? from.coefficients.slice() : new Float64Array(size)
  // At the optimum a picture that does not count has none.
  if (leftOut >= 0) coefficients.fill(0, leftOut * count, (leftOut + 1) * count)
  let logits = times(problem, coefficients)
  for (let step = 0; step < mostSteps; step++) {
    const shares = softmaxRows(logits, count)
    const gradient = gradientOf(problem, shares, coefficients, strength, leftOut)
    if (gradient.every((value) => Math.abs(value) < tolerance)) break
    const { direction, change } = newtonStep(problem, shares, gradient, strength, leftOut)
    const length = lineSearch(problem, { coefficients, logits }, { direction, change }, strength, leftOut)
    if (length === 0) break
    for (let i = 0; i < size; i++) coefficients[i]! += length * direction[i]!
    logits = times(problem, coefficients)
  }
  return { coefficients, logits }
}

/** GA */
function times({ products, groups, count }: Problem, matrix: Float64Array): Float64Array {
  const n = groups.length
  const result = new Float64Array(matrix.length)
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) {
      const product = products[i * n + j]!
      for (let k = 0; k < count; k++) result[i * count + k]! += product * matrix[j * count + k]!
    }
  return result
}

export function softmaxRows(logits: Float64Array, count: number): Float64Array {
  const result = new Float64Array(logits.length)
  for (let row = 0; row < logits.length; row += count) {
    let [largest, sum] = [Number.NEGATIVE_INFINITY, 0]
    for (let k = 0; k < count; k++) largest = Math.max(largest, logits[row + k]!)
    for (let k = 0; k < count; k++) sum += result[row + k] = Math.exp(logits[row + k]! - largest)
    for (let k = 0; k < count; k++) result[row + k]! /= sum
  }
  return result
}

/** P - Y + strength A, of which X' makes the gradient in W. */
function gradientOf(
  { groups, count }: Problem,
  shares: Float64Array,
  coefficients: Float64Array,
  strength: number,
  leftOut: number,
): Float64Array {
  const result = coefficients.map((value) => strength * value)
  groups.forEach((group, i) => {
    if (i === leftOut) return
    for (let k = 0; k < count; k++) result[i * count + k]! += shares[i * count + k]! - (k === group ? 1 : 0)
  })
  return result
}

interface Step {
  /** In A. */
  readonly direction: Float64Array
  /** G times it. */
  readonly change: Float64Array
}

/** Where a solution counts as found, as a share of the squared residual: what a step leaves undone, the next one does. */
const inexact = 1e-4

/** (HG + strength) direction = -gradient, by conjugate gradients in the inner product of G, in which that is symmetric. */
function newtonStep(
  problem: Problem,
  shares: Float64Array,
  gradient: Float64Array,
  strength: number,
  leftOut: number,
): Step {
  const size = gradient.length
  const [direction, change] = [new Float64Array(size), new Float64Array(size)]
  const rest = gradient.map((value) => -value)
  let ofRest = times(problem, rest)
  const [along, ofAlong] = [rest.slice(), ofRest.slice()]
  let squared = dot(rest, ofRest)
  const enough = squared * inexact
  for (let i = 0; i < 2 * size && squared > enough && squared > 1e-30; i++) {
    const curved = curvature(problem, shares, ofAlong, along, strength, leftOut)
    const length = squared / dot(ofAlong, curved)
    for (let j = 0; j < size; j++) {
      direction[j]! += length * along[j]!
      change[j]! += length * ofAlong[j]!
      rest[j]! -= length * curved[j]!
    }
    ofRest = times(problem, rest)
    const next = dot(rest, ofRest)
    for (let j = 0; j < size; j++) {
      along[j] = rest[j]! + (next / squared) * along[j]!
      ofAlong[j] = ofRest[j]! + (next / squared) * ofAlong[j]!
    }
    squared = next
  }
  return { direction, change }
}

/** H (G along) + strength along; H is diag(p) - pp' in each row. */
function curvature(
  { count }: Problem,
  shares: Float64Array,
  ofAlong: Float64Array,
  along: Float64Array,
  strength: number,
  leftOut: number,
): Float64Array {
  const result = along.map((value) => strength * value)
  for (let row = 0; row < result.length; row += count) {
    if (row === leftOut * count) continue
    let mean = 0
    for (let k = 0; k < count; k++) mean += shares[row + k]! * ofAlong[row + k]!
    for (let k = 0; k < count; k++) result[row + k]! += shares[row + k]! * (ofAlong[row + k]! - mean)
  }
  return result
}

/** The first of 1, 1/2, 1/4 ... that lowers the objective; 0 where none does. */
function lineSearch(problem: Problem, at: Fit, { direction, change }: Step, strength: number, leftOut: number): number {
  const moved = (length: number) =>
    objective(
      problem,
      at.coefficients.map((value, i) => value + length * direction[i]!),
      at.logits.map((value, i) => value + length * change[i]!),
      strength,
      leftOut,
    )
  const now = moved(0)
  for (let length = 1; length > 1e-6; length /= 2) if (moved(length) < now) return length
  return 0
}

function objective(
  { groups, count }: Problem,
  coefficients: Float64Array,
  logits: Float64Array,
  strength: number,
  leftOut: number,
): number {
  let sum = (strength / 2) * dot(coefficients, logits)
  groups.forEach((group, i) => {
    if (i !== leftOut) sum += lossOf(logits.subarray(i * count, (i + 1) * count), group)
  })
  return sum
}

/** -log of the group's share. */
export function lossOf(logits: Float64Array, group: number): number {
  const largest = logits.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY)
  return Math.log(logits.reduce((sum, value) => sum + Math.exp(value - largest), 0)) + largest - logits[group]!
}

/** W [K, d] */
export function weightsOf({ coefficients }: Fit, vectors: readonly Float32Array[], count: number): Float64Array[] {
  return Array.from({ length: count }, (_, k) => {
    const row = new Float64Array(vectors[0]!.length)
    vectors.forEach((vector, i) => {
      for (let j = 0; j < row.length; j++) row[j]! += coefficients[i * count + k]! * vector[j]!
    })
    return row
  })
}
