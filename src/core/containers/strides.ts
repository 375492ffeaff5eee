/** Where the elements of an array lie in memory: strides, counted in elements, one for each dimension. */
import type { TensorValues } from "./safetensors.ts"

/** Element count of a shape; above 2^53 it is not a safe integer. */
export function countOf(shape: readonly number[]): number {
  return shape.includes(0) ? 0 : shape.reduce((product, size) => product * size, 1)
}

/** Row-major: the last dimension varies fastest. */
function rowMajorStrides(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length)
  let stride = 1
  for (let d = shape.length - 1; d >= 0; d--) {
    strides[d] = stride
    stride *= Math.max(shape[d]!, 1)
  }
  return strides
}

/** Fortran's order: the first dimension varies fastest. */
export function columnMajorStrides(shape: readonly number[]): number[] {
  return rowMajorStrides(shape.toReversed()).reverse()
}

/** Whether the elements follow each other; the stride of a dimension of one element says nothing. */
export function isRowMajor(shape: readonly number[], strides: readonly number[]): boolean {
  const expected = rowMajorStrides(shape)
  return countOf(shape) === 0 || shape.every((size, d) => size === 1 || strides[d] === expected[d])
}

/** Elements from the first to the last one, both included; 0 for an empty array. */
export function spanOf(shape: readonly number[], strides: readonly number[]): number {
  if (countOf(shape) === 0) return 0
  return 1 + shape.reduce((last, size, d) => last + (size - 1) * strides[d]!, 0)
}

/** The elements in row-major order, from `values` that begin with the first one. */
export function gather<T extends TensorValues>(values: T, shape: readonly number[], strides: readonly number[]): T {
  const count = countOf(shape)
  const result = new (values.constructor as new (length: number) => T)(count)
  // A dimension of one element is a step for every element, and there may be 64 of them.
  const dims = shape.map((size, d) => ({ size, stride: strides[d]!, index: 0 })).filter(({ size }) => size !== 1)
  for (let i = 0, from = 0; i < count; i++) {
    result[i] = values[from]!
    for (let d = dims.length - 1; d >= 0; d--) {
      const dim = dims[d]!
      from += dim.stride
      if (++dim.index < dim.size) break
      from -= dim.index * dim.stride
      dim.index = 0
    }
  }
  return result
}
