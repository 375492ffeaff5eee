/** Files of vectors for tests and measurements of search: float16 rows after a header, and what a scan of them must find. */
import { writeFileSync } from "node:fs"
import { float16ToFloat32, float32ToFloat16 } from "../src/core/arrays/half.ts"
import type { Random } from "../src/core/arrays/random.ts"

export const headerBytes = 4096

/** Writes rows [N, dim] and returns them as they were rounded. */
export function writeVectors(path: string, rows: Float32Array): Float32Array {
  const bits = float32ToFloat16(rows)
  writeFileSync(path, Buffer.concat([Buffer.alloc(headerBytes, "vectors"), Buffer.from(bits.buffer)]))
  return float16ToFloat32(bits)
}

/** [count, dim] of unit length */
export function unitRows(random: Random, count: number, dim: number): Float32Array {
  const rows = new Float32Array(count * dim)
  random.fillNormal(rows, 1)
  for (let row = 0; row < count; row++) normalize(rows.subarray(row * dim, (row + 1) * dim))
  return rows
}

/** [count, dim] of eighths: sums of their products have no rounding in whatever order, and many are equal. */
export function exactRows(random: Random, count: number, dim: number): Float32Array {
  return Float32Array.from({ length: count * dim }, () => (random.int(9) - 4) / 8)
}

/** In place. */
export function normalize(row: Float32Array): Float32Array {
  const norm = Math.hypot(...row)
  for (let i = 0; i < row.length; i++) row[i]! /= norm
  return row
}

/** The product of each row [N, dim] with the query, in float64. */
export function products(rows: Float32Array, query: Float32Array): Float64Array {
  const dim = query.length
  return Float64Array.from({ length: rows.length / dim }, (_, row) => {
    let sum = 0
    for (let i = 0; i < dim; i++) sum += rows[row * dim + i]! * query[i]!
    return sum
  })
}

/** Positions of the best `k` scores among those that count, by sorting all. */
export function best(scores: Float64Array, k: number, counts: (row: number, score: number) => boolean = () => true) {
  return [...scores.keys()]
    .filter((row) => !Number.isNaN(scores[row]!) && counts(row, scores[row]!))
    .sort((a, b) => scores[b]! - scores[a]! || a - b)
    .slice(0, k)
}
