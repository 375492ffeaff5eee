/** Vectors that stand in for those of a model. */
import type { Build } from "../build.ts"

/** Values of a vector. */
export const width = 512

/** Unit vectors [rows, width]. */
export function unitRows(rows: number, seed: number): Float32Array {
  const values = new Float32Array(rows * width)
  let state = seed
  for (let i = 0; i < values.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    values[i] = state / 2 ** 31
  }
  for (let row = 0; row < rows; row++) normalize(values.subarray(row * width, (row + 1) * width))
  return values
}

function normalize(row: Float32Array): void {
  let squares = 0
  for (const value of row) squares += value * value
  for (let i = 0; i < row.length; i++) row[i]! /= Math.sqrt(squares)
}

export function similarityModule(build: Build) {
  return build.load<typeof import("../../../src/core/arrays/similarity.ts")>(
    "src/core/arrays/similarity.js",
    "src/core/similarity.js",
  )
}
