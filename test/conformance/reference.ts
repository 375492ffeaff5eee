/** The operations by their definitions: arrays of numbers and plain loops, in float64. Slow, small, and easy to believe. */
import { Random } from "../../src/core/arrays/random.ts"
import { Parameter } from "../../src/tensor/parameter.ts"
import type { Conv2dGeometry } from "../../src/tensor/tensor.ts"

export interface NdArray {
  readonly shape: readonly number[]
  /** Row-major. */
  readonly values: readonly number[]
}

export function tabulate(shape: readonly number[], value: (index: readonly number[]) => number): NdArray {
  const size = shape.reduce((product, dim) => product * dim, 1)
  return { shape, values: Array.from({ length: size }, (_, flat) => value(unravel(shape, flat))) }
}

/** Normally distributed float32 values, a function of the name. */
export function noise(name: string, ...shape: number[]): NdArray {
  const random = Random.of(0, name)
  return tabulate(shape, () => Math.fround(random.normal()))
}

export function at({ shape, values }: NdArray, ...index: number[]): number {
  const inside = index.every((i, axis) => i >= 0 && i < shape[axis]!)
  return inside ? values[index.reduce((flat, i, axis) => flat * shape[axis]! + i, 0)]! : 0
}

export function parameter({ shape, values }: NdArray): Parameter {
  const result = new Parameter(shape, { kind: "constant", value: 0 })
  result.source = () => Float32Array.from(values)
  return result
}

export function map(x: NdArray, f: (value: number) => number): NdArray {
  return { shape: x.shape, values: x.values.map(f) }
}

/** Elementwise; `b` broadcasts to the shape of `a`. */
export function zip(a: NdArray, b: NdArray, f: (x: number, y: number) => number): NdArray {
  const lead = a.shape.length - b.shape.length
  return tabulate(a.shape, (i) =>
    f(at(a, ...i), at(b, ...b.shape.map((dim, axis) => (dim === 1 ? 0 : i[axis + lead]!)))),
  )
}

/** The error function by its Taylor series, good to 1e-12 for |x| < 4. */
export function erf(x: number): number {
  let [term, sum] = [x, x]
  for (let n = 1; n < 100; n++) {
    term *= -(x * x) / n
    sum += term / (2 * n + 1)
  }
  return (2 / Math.sqrt(Math.PI)) * sum
}

export function conv2d(x: NdArray, weight: NdArray, bias: NdArray | null, geometry: Conv2dGeometry): NdArray {
  const { stride, padding, groups } = geometry
  const [n, , height, width] = x.shape as [number, number, number, number]
  const [out, perGroup, rows, columns] = weight.shape as [number, number, number, number]
  const size = (input: number, kernel: number, pad: number) => Math.floor((input + 2 * pad - kernel) / stride) + 1
  const shape = [n, out, size(height, rows, padding[0]), size(width, columns, padding[1])]
  return tabulate(shape, ([b, o, y, z]) => {
    const firstChannel = Math.floor(o! / (out / groups)) * perGroup
    const products = tabulate([perGroup, rows, columns], ([c, r, k]) => {
      const pixel = [y! * stride + r! - padding[0], z! * stride + k! - padding[1]] as const
      return at(x, b!, firstChannel + c!, ...pixel) * at(weight, o!, c!, r!, k!)
    })
    return sum(products.values) + (bias ? at(bias, o!) : 0)
  })
}

/** [..., I] with matrix [I, O] */
export function matmul(x: NdArray, matrix: NdArray): NdArray {
  const [inner, out] = matrix.shape as [number, number]
  return tabulate([...x.shape.slice(0, -1), out], (index) => {
    const [row, o] = [index.slice(0, -1), index.at(-1)!]
    return sum(range(inner).map((i) => at(x, ...row, i) * at(matrix, i, o)))
  })
}

/** Rows of [N, L, D]; each head has its own D/heads columns. */
export function attention(q: NdArray, k: NdArray, v: NdArray, heads: number, causal: boolean): NdArray {
  const [, , width] = q.shape as [number, number, number]
  const headWidth = width / heads
  return tabulate(q.shape, ([n, i, d]) => {
    const columns = range(headWidth).map((column) => Math.floor(d! / headWidth) * headWidth + column)
    const keys = range(causal ? i! + 1 : k.shape[1]!)
    const scores = keys.map((j) => sum(columns.map((c) => at(q, n!, i!, c) * at(k, n!, j, c))) / Math.sqrt(headWidth))
    const weights = scores.map((score) => Math.exp(score - Math.max(...scores)))
    return sum(keys.map((j) => weights[j]! * at(v, n!, j, d!))) / sum(weights)
  })
}

export function layerNorm(x: NdArray, weight: NdArray, bias: NdArray, eps: number): NdArray {
  const width = x.shape.at(-1)!
  return tabulate(x.shape, (index) => {
    const row = range(width).map((d) => at(x, ...index.slice(0, -1), d))
    const mean = sum(row) / width
    const variance = sum(row.map((value) => (value - mean) ** 2)) / width
    const d = index.at(-1)!
    return ((row[d]! - mean) / Math.sqrt(variance + eps)) * at(weight, d) + at(bias, d)
  })
}

/** Keeps the reduced axes as 1. */
export function mean(x: NdArray, axes: readonly number[]): NdArray {
  const shape = x.shape.map((dim, axis) => (axes.includes(axis) ? 1 : dim))
  const window = x.shape.map((dim, axis) => (axes.includes(axis) ? dim : 1))
  return tabulate(shape, (index) => {
    const values = tabulate(window, (offset) => at(x, ...index.map((i, axis) => i + offset[axis]!))).values
    return sum(values) / values.length
  })
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

export function range(length: number): number[] {
  return Array.from({ length }, (_, i) => i)
}

function unravel(shape: readonly number[], flat: number): number[] {
  return shape.reduceRight<[number, number[]]>(
    ([rest, index], dim) => [Math.floor(rest / dim), [rest % dim, ...index]],
    [flat, []],
  )[1]
}
