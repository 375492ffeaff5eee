/**
 * Multinomial logistic regression, the minimum of scikit-learn's: the losses' sum times `c`, and half the weights' squares; biases
 * are free. Products run over blocks of rows in float32, sums over blocks in float64, always in the same order.
 */
import { cosines } from "../../core/arrays/similarity.ts"
import { assert } from "../../core/errors.ts"
import { type MinimizeOptions, minimize } from "./lbfgs.ts"

/** Rows of features, and the class of each. */
export interface Labelled {
  /** [N, width] */
  readonly features: Float32Array
  readonly width: number
  /** 0 to classes - 1 */
  readonly labels: ArrayLike<number>
}

export interface LogisticModel {
  readonly classes: number
  readonly width: number
  /** [classes, width] */
  readonly weights: Float32Array
  /** [classes] */
  readonly biases: Float32Array
}

interface FitOptions extends MinimizeOptions {
  /** Inverse of the strength of regularisation. */
  readonly c: number
  /** Where the search begins; the result does not depend on it beyond the tolerance. */
  readonly from?: LogisticModel | undefined
}

const blockRows = 1024

export function fitLogistic(data: Labelled, classes: number, options: FitOptions): LogisticModel {
  const { width } = data
  const start = options.from ? parametersOf(options.from) : new Float64Array(classes * (width + 1))
  return modelOf(minimize(objectiveOf(data, classes, options.c), start, options), classes, width)
}

/** Scores before a softmax, [N, classes]. */
export function logits({ weights, biases, classes, width }: LogisticModel, features: Float32Array): Float32Array {
  const scores = cosines(features, weights, width)
  for (let i = 0; i < scores.length; i++) scores[i]! += biases[i % classes]!
  return scores
}

/** Parameters are weights [classes, width], then biases [classes]. The objective is divided by the rows times `c`. */
function objectiveOf(data: Labelled, classes: number, c: number) {
  const blocks = blocksOf(data)
  const { width } = data
  const rows = data.features.length / width
  assert(rows === data.labels.length, `${rows} rows and ${data.labels.length} labels`)
  const [penalty, biasesAt] = [1 / (c * rows), classes * width]
  return (at: Float64Array, gradient: Float64Array): number => {
    const model = modelOf(at, classes, width)
    gradient.fill(0)
    let loss = 0
    for (const block of blocks) loss += addBlock(block, model, gradient)
    for (let i = 0; i < gradient.length; i++) gradient[i]! /= rows
    let squares = 0
    for (let i = 0; i < biasesAt; i++) {
      squares += at[i]! * at[i]!
      gradient[i]! += penalty * at[i]!
    }
    return loss / rows + (penalty * squares) / 2
  }
}

interface Block {
  readonly rows: Float32Array
  /** The same, [width, rows]: as rows of the products that the gradient is. */
  readonly columns: Float32Array
  readonly labels: ArrayLike<number>
}

function blocksOf({ features, width, labels }: Labelled): Block[] {
  const blocks: Block[] = []
  for (let from = 0; from < labels.length; from += blockRows) {
    const count = Math.min(blockRows, labels.length - from)
    const rows = features.subarray(from * width, (from + count) * width)
    const columns = transposed(rows, width)
    blocks.push({ rows, columns, labels: Array.from({ length: count }, (_, i) => labels[from + i]!) })
  }
  return blocks
}

/** The losses' sum; adds their gradient. */
function addBlock({ rows, columns, labels }: Block, model: LogisticModel, gradient: Float64Array): number {
  const { classes, width } = model
  const scores = logits(model, rows)
  let loss = 0
  for (let i = 0; i < labels.length; i++) loss += toErrors(scores.subarray(i * classes, (i + 1) * classes), labels[i]!)
  const errors = transposed(scores, classes)
  const products = cosines(errors, columns, labels.length)
  for (let i = 0; i < products.length; i++) gradient[i]! += products[i]!
  for (let k = 0; k < classes; k++) {
    let sum = 0
    for (let i = 0; i < labels.length; i++) sum += errors[k * labels.length + i]!
    gradient[classes * width + k]! += sum
  }
  return loss
}

/** Scores of one row become probabilities minus the truth; returns the loss. */
function toErrors(scores: Float32Array, label: number): number {
  const most = scores.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
  let sum = 0
  for (const score of scores) sum += Math.exp(score - most)
  const logSum = most + Math.log(sum)
  const loss = logSum - scores[label]!
  for (let k = 0; k < scores.length; k++) scores[k] = Math.exp(scores[k]! - logSum) - (k === label ? 1 : 0)
  return loss
}

function transposed(matrix: Float32Array, width: number): Float32Array {
  const rows = matrix.length / width
  const result = new Float32Array(matrix.length)
  for (let i = 0; i < rows; i++) for (let k = 0; k < width; k++) result[k * rows + i] = matrix[i * width + k]!
  return result
}

function modelOf(parameters: Float64Array, classes: number, width: number): LogisticModel {
  const end = classes * width
  return {
    ...{ classes, width },
    weights: Float32Array.from(parameters.subarray(0, end)),
    biases: Float32Array.from(parameters.subarray(end)),
  }
}

function parametersOf({ weights, biases }: LogisticModel): Float64Array {
  return Float64Array.from([...weights, ...biases])
}
