/** fill.json: the hash, the input image, and every filled tensor of the model files beside it. */
import { existsSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fill, hash, inputImage, u } from "../../src/core/arrays/fill.ts"
import { type Check, mismatches } from "./check.ts"

interface FillFile {
  hash: { name: string; seed: number; index: number[]; hash: number[]; u: number[] }[]
  input_image: Record<string, { first4: number[]; last4: number[]; sum_f64: number }>
  filled: Record<string, Record<string, FilledTensor>>
}

interface FilledTensor {
  rule: number
  first: number
  last: number
  sum_f64: number
  abs_sum_f64: number
}

type Shapes = ReadonlyMap<string, readonly number[]>

/** Two sums rounded to 13 digits (up to 5e-13 each), and their order of addition; relative to the sum of magnitudes. */
const sumTolerance = 2e-12

export function* checkFill(path: string): Iterable<Check> {
  const file: FillFile = JSON.parse(readFileSync(path, "utf8"))
  for (const vector of file.hash) yield checkHash(vector)
  for (const [resolution, image] of Object.entries(file.input_image)) yield* checkImage(Number(resolution), image)
  for (const [model, tensors] of Object.entries(file.filled)) {
    const modelPath = join(dirname(path), "models", `${model}.json`)
    if (existsSync(modelPath)) yield* checkTensors(model, tensors, shapesOf(modelPath))
    else yield checkWithoutShapes(model, tensors)
  }
}

function checkHash({ name, seed, index, hash: bits, u: values }: FillFile["hash"][number]): Check {
  const wrong = index.filter((i, k) => hash(seed, i) !== bits[k] || u(name, i) !== values[k])
  return mismatches(`hash of "${name}"`, wrong.length)
}

function* checkImage(resolution: number, image: FillFile["input_image"][string]): Iterable<Check> {
  const values = inputImage(resolution)
  const ends = [...values.subarray(0, 4), ...values.subarray(-4)]
  yield mismatches(`image ${resolution}, ends`, unequalFloats(ends, [...image.first4, ...image.last4]))
  const error = Math.abs(sum(values) - image.sum_f64) / image.sum_f64
  yield { what: `image ${resolution}, sum`, error, tolerance: sumTolerance }
}

function* checkTensors(model: string, tensors: Record<string, FilledTensor>, shapes: Shapes): Iterable<Check> {
  let [wrongRules, wrongEnds, worstSum] = [0, 0, 0]
  for (const [key, expected] of Object.entries(tensors)) {
    const { rule, values } = fill(key, shapes.get(key) ?? [])
    const absolute = sum(values.map(Math.abs))
    const error = Math.abs(sum(values) - expected.sum_f64) + Math.abs(absolute - expected.abs_sum_f64)
    if (rule !== expected.rule || !shapes.has(key)) wrongRules++
    wrongEnds += unequalFloats([values[0]!, values.at(-1)!], [expected.first, expected.last])
    worstSum = Math.max(worstSum, error / Math.max(absolute, Number.MIN_VALUE))
  }
  yield mismatches(`${model}, rules of ${Object.keys(tensors).length} tensors`, wrongRules)
  yield mismatches(`${model}, first and last values`, wrongEnds)
  yield { what: `${model}, sums`, error: worstSum, tolerance: sumTolerance }
}

/** Where the model file is missing: rules 1 to 8 are for any shape, or for vectors. */
function checkWithoutShapes(model: string, tensors: Record<string, FilledTensor>): Check {
  const vectors = Object.entries(tensors).filter(([, { rule }]) => rule <= 8)
  const wrong = vectors.filter(([key, expected]) => {
    const { rule, values } = fill(key, [1])
    return rule !== expected.rule || unequalFloats([values[0]!], [expected.first]) > 0
  })
  return mismatches(`${model} (no model file), first values of ${vectors.length} vectors`, wrong.length)
}

function shapesOf(modelPath: string): Shapes {
  const model: { state_dict: [string, number[], string][] } = JSON.parse(readFileSync(modelPath, "utf8"))
  return new Map(model.state_dict.map(([key, shape]) => [key, shape]))
}

/** 9 digits are enough to name a float32 exactly. */
function unequalFloats(values: readonly number[], expected: readonly number[]): number {
  return values.filter((value, i) => value !== Math.fround(expected[i]!)).length
}

function sum(values: Float32Array): number {
  return values.reduce((total, value) => total + value, 0)
}
