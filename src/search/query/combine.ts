/** The vectors of a query's terms to one. */
import { assert, UserError } from "../../core/errors.ts"

export interface WeightedVector {
  /** [dim], unit length */
  readonly vector: Float32Array
  /** Finite, not 0. */
  readonly weight: number
}

/** Towers' vectors are of unit length but for the rounding of float16 rows. */
const lengthTolerance = 1e-2

/** Sums of float32 vectors that cancel leave some 1e-7 of their length, a direction made of rounding. */
const smallestShare = 1e-4

/** The weighted sum [dim], made unit length. Throws UserError where the terms cancel each other. */
export function combine(terms: readonly WeightedVector[]): Float32Array {
  assert(terms.length > 0, "a query has a term")
  const dim = terms[0]!.vector.length
  const sum = new Float64Array(dim)
  for (const { vector, weight } of terms) {
    assert(vector.length === dim, "vectors of one model have one length")
    assert(Math.abs(lengthOf(vector) - 1) < lengthTolerance, "a term's vector is of unit length")
    for (let d = 0; d < dim; d++) sum[d]! += weight * vector[d]!
  }
  const length = lengthOf(sum)
  const weights = terms.reduce((total, { weight }) => total + Math.abs(weight), 0)
  if (!(length >= smallestShare * weights))
    throw new UserError("the terms of the query cancel each other", "leave one out, or change its weight")
  return Float32Array.from(sum, (value) => value / length)
}

function lengthOf(vector: Float32Array | Float64Array): number {
  let squares = 0
  for (let d = 0; d < vector.length; d++) squares += vector[d]! * vector[d]!
  return Math.sqrt(squares)
}
