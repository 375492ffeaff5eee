/**
 * Shape rules of the operation interface, shared by the interpreters that do not compute. Each function gives the
 * shape of the result, or throws saying where (`where`), what was expected and what was found.
 * -1 is a size that is not known yet (the batch, or L after `trimToLongest`): it equals itself only.
 */
import type { Conv2dGeometry } from "./tensor.ts"

export type Shape = readonly number[]

export function broadcastShape(where: string, a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, i) => {
    const [x, y] = [a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1]
    expect(x === y || x === 1 || y === 1, where, `a shape that broadcasts with [${a.join(", ")}]`, b)
    return x === 1 ? y : x
  })
}

/** [N, C, H, W] with weight [O, C/groups, kH, kW] */
export function conv2dShape(where: string, x: Shape, weight: Shape, geometry: Conv2dGeometry): number[] {
  const { stride, padding, groups } = geometry
  const [outChannels, perGroup, ...kernel] = weight as [number, number, number, number]
  expect(outChannels % groups === 0, where, `a multiple of ${groups} filters (groups)`, weight)
  expect(x.length === 4 && x[1] === perGroup * groups, where, `[N, ${perGroup * groups}, H, W]`, x)
  const size = [0, 1].map((i) => Math.floor((x[2 + i]! + 2 * padding[i]! - kernel[i]!) / stride) + 1)
  expect(
    size.every((n) => n > 0),
    where,
    `at least ${kernel.join("x")} pixels with padding ${padding}`,
    x,
  )
  return [x[0]!, outChannels, ...size]
}

/** [..., I] -> [..., O] */
export function linearShape(where: string, x: Shape, inFeatures: number, outFeatures: number): number[] {
  expect(x.at(-1) === inFeatures, where, `[..., ${inFeatures}]`, x)
  return [...x.slice(0, -1), outFeatures]
}

/** Queries, keys and values [N, L, D]; keys and values may have another L. */
export function attentionShape(where: string, query: Shape, key: Shape, value: Shape, heads: number): number[] {
  const width = query.at(-1)!
  expect(query.length === 3 && width % heads === 0, where, `queries [N, L, a multiple of ${heads}]`, query)
  expect(key.length === 3 && key[2] === width, where, `keys [N, L, ${width}]`, key)
  expect(sameShape(value, key), where, `values [${key.join(", ")}]`, value)
  return [...query]
}

/** A bias [N, S] of attention over S keys. */
export function checkBias(where: string, bias: Shape, key: Shape): void {
  expect(sameShape(bias, key.slice(0, 2)), where, `a bias [${key.slice(0, 2).join(", ")}]`, bias)
}

/** Normalization over one axis (channels for batch norm, the last one for layer norm). */
export function normShape(where: string, x: Shape, axis: number, size: number): number[] {
  expect(x.length > 1 && x.at(axis) === size, where, axis === 1 ? `[N, ${size}, ...]` : `[..., ${size}]`, x)
  return [...x]
}

export function meanShape(where: string, x: Shape, axes: readonly number[], keepDims: boolean): number[] {
  expect(
    axes.every((axis) => axis > 0 && axis < x.length),
    where,
    `axes ${axes} after the batch`,
    x,
  )
  return x.map((dim, axis) => (axes.includes(axis) ? 1 : dim)).filter((_, axis) => keepDims || !axes.includes(axis))
}

/** [N, ...] -> [N, ...dims]; one of `dims` may be -1 and is computed where all sizes are known. */
export function reshapeShape(where: string, x: Shape, dims: Shape): number[] {
  const count = (shape: Shape) => shape.reduce((product, dim) => product * dim, 1)
  const rest = x.slice(1)
  if (rest.includes(-1)) return [x[0]!, ...dims]
  const given = count(dims.filter((dim) => dim !== -1))
  const inferred = dims.map((dim) => (dim === -1 ? count(rest) / given : dim))
  const possible = dims.filter((dim) => dim === -1).length <= 1 && count(inferred) === count(rest)
  expect(possible && inferred.every(Number.isInteger), where, `as many values as [N, ${dims.join(", ")}]`, x)
  return [x[0]!, ...inferred]
}

export function permuteShape(where: string, x: Shape, order: readonly number[]): number[] {
  const complete = order.length === x.length && x.every((_, axis) => order.includes(axis))
  expect(complete && order[0] === 0, where, `as many axes as the order ${order}, batch first`, x)
  return order.map((axis) => x[axis]!)
}

export function narrowShape(where: string, x: Shape, axis: number, start: number, length: number): number[] {
  const size = x[axis] ?? 0
  const inside = start >= 0 && length > 0 && (size === -1 || start + length <= size)
  expect(inside, where, `at least ${start + length} along axis ${axis}`, x)
  return x.map((dim, i) => (i === axis ? length : dim))
}

export function concatShape(where: string, shapes: readonly Shape[], axis: number): number[] {
  return [...shapes.reduce((a, b) => concatTwo(where, a, b, axis))]
}

function concatTwo(where: string, a: Shape, b: Shape, axis: number): number[] {
  const fits = axis > 0 && axis < a.length && a.length === b.length && a.every((dim, i) => i === axis || dim === b[i])
  expect(fits, where, `a shape that differs from [${a.join(", ")}] along axis ${axis} only`, b)
  return a.map((dim, i) => (i !== axis ? dim : dim === -1 || b[i] === -1 ? -1 : dim + b[i]!))
}

/** [N, L] with table [V, D] */
export function embeddingShape(where: string, tokens: Shape, table: Shape): number[] {
  expect(tokens.length === 2, where, "tokens [N, L]", tokens)
  return [...tokens, table[1]!]
}

/** [N, L, D] with table [maxL, D] */
export function positionsShape(where: string, x: Shape, table: Shape): number[] {
  const [rows, width] = table as [number, number]
  expect(x.length === 3 && x[1]! <= rows && x[2] === width, where, `[N, at most ${rows}, ${width}]`, x)
  return [...x]
}

/** [N, L, D] with positions [N] -> [N, D] */
export function rowAtShape(where: string, x: Shape, positions: Shape): number[] {
  expect(x.length === 3, where, "[N, L, D]", x)
  expect(positions.length === 1 && positions[0] === x[0], where, `positions [${x[0]}]`, positions)
  return [x[0]!, x[2]!]
}

function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i])
}

function expect(condition: boolean, where: string, expected: string, found: Shape): void {
  if (!condition) throw new Error(`${where}: expected ${expected}, found [${found.join(", ")}]`)
}
