/** Cosine similarity and zero-shot probabilities over plain arrays; matrices are row-major float32. */
import { assert } from "../errors.ts"

/** Divides each row of [rows, width] by its length, in place; a row of zeros stays. */
export function l2Normalize(matrix: Float32Array, width: number): Float32Array {
  assert(matrix.length % width === 0, `${matrix.length} values are not rows of ${width}`)
  for (let row = 0; row < matrix.length; row += width) {
    let squares = 0
    for (let i = row; i < row + width; i++) squares += matrix[i]! * matrix[i]!
    const scale = squares > 0 ? 1 / Math.sqrt(squares) : 0
    for (let i = row; i < row + width; i++) matrix[i]! *= scale
  }
  return matrix
}

/** Images [N, width] and texts [M, width], both of unit length -> cosines [N, M]. */
export function cosines(images: Float32Array, texts: Float32Array, width: number): Float32Array {
  assert(images.length % width === 0 && texts.length % width === 0, `rows are not ${width} wide`)
  const [n, m] = [images.length / width, texts.length / width]
  const result = new Float32Array(n * m)
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < m; j++) result[i * m + j] = dot(images, i * width, texts, j * width, width)
  }
  return result
}

/** Each row of cosines [N, labels] -> probabilities of the labels: softmax(logitScale * cosine). */
export function softmax(cosines: Float32Array, labels: number, logitScale: number): Float32Array {
  const result = new Float32Array(cosines.length)
  for (let row = 0; row < cosines.length; row += labels) {
    const logits = cosines.subarray(row, row + labels)
    const largest = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
    const powers = Float64Array.from(logits, (logit) => Math.exp(logitScale * (logit - largest)))
    const sum = powers.reduce((a, b) => a + b, 0)
    powers.forEach((power, i) => {
      result[row + i] = power / sum
    })
  }
  return result
}

function dot(a: Float32Array, aStart: number, b: Float32Array, bStart: number, length: number): number {
  let sum = 0
  for (let i = 0; i < length; i++) sum += a[aStart + i]! * b[bStart + i]!
  return sum
}
