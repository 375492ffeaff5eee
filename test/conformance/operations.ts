/**
 * One case per behaviour of the operation interface, with its result by definition (`reference.ts`), in evaluation
 * mode. Every interpreter that computes runs them all, on every runtime.
 */
import type { Parameter } from "../../src/tensor/parameter.ts"
import type { Conv2dGeometry, Tensor } from "../../src/tensor/tensor.ts"
import * as reference from "./reference.ts"
import { at, type NdArray, noise, tabulate } from "./reference.ts"

export interface OperationCase {
  readonly name: string
  readonly inputs: readonly { readonly dtype: "float32" | "int64"; readonly array: NdArray }[]
  readonly parameters: ReadonlyMap<string, Parameter>
  readonly run: (...inputs: readonly Tensor[]) => Tensor
  readonly expected: NdArray
}

/** Every case at one batch size. */
export function operationCases(batch: number): OperationCase[] {
  return [elementwise, linearMaps, attention, normalization, layout, tokens].flatMap((cases) => cases(batch))
}

function elementwise(n: number): OperationCase[] {
  const [x, y] = [noise("x", n, 3, 4), noise("y", n, 3, 4)]
  const [row, column] = [noise("row", 4), noise("column", 3, 1)]
  const gate = noise("gate", n, 3, 1)
  const gelu = (v: number) => (v / 2) * (1 + reference.erf(v / Math.SQRT2))
  const combine = (b: NdArray, f: (a: number, b: number) => number) => reference.zip(x, b, f)
  return [
    floats(
      "add",
      [x, y],
      {},
      combine(y, (a, b) => a + b),
      (_, a, b) => a.add(b),
    ),
    floats(
      "add a parameter",
      [x],
      { row },
      combine(row, (a, b) => a + b),
      (p, a) => a.add(p.row),
    ),
    floats(
      "sub",
      [x, y],
      {},
      combine(y, (a, b) => a - b),
      (_, a, b) => a.sub(b),
    ),
    floats(
      "sub a parameter",
      [x],
      { column },
      combine(column, (a, b) => a - b),
      (p, a) => a.sub(p.column),
    ),
    floats(
      "mul",
      [x, gate],
      {},
      combine(gate, (a, b) => a * b),
      (_, a, b) => a.mul(b),
    ),
    floats(
      "mul by a parameter",
      [x],
      { column },
      combine(column, (a, b) => a * b),
      (p, a) => a.mul(p.column),
    ),
    floats(
      "mul by a number",
      [x],
      {},
      reference.map(x, (v) => v * 0.3),
      (_, a) => a.mul(0.3),
    ),
    floats("gelu", [x], {}, reference.map(x, gelu), (_, a) => a.gelu()),
    floats(
      "relu",
      [x],
      {},
      reference.map(x, (v) => Math.max(v, 0)),
      (_, a) => a.relu(),
    ),
    floats(
      "sigmoid",
      [x],
      {},
      reference.map(x, (v) => 1 / (1 + Math.exp(-v))),
      (_, a) => a.sigmoid(),
    ),
  ]
}

function linearMaps(n: number): OperationCase[] {
  const convolution = (name: string, weight: NdArray, bias: NdArray | null, geometry: Conv2dGeometry) => {
    const x = noise("image", n, 4, 7, 6)
    const expected = reference.conv2d(x, weight, bias, geometry)
    const parameters: Record<string, NdArray> = bias ? { weight, bias } : { weight }
    return floats(name, [x], parameters, expected, (p, a) => a.conv2d(p.weight!, p.bias ?? null, geometry))
  }
  const [x, weight, bias] = [noise("rows", n, 5, 6), noise("weight", 3, 6), noise("bias", 3)]
  const matrix = tabulate([6, 3], ([i, o]) => at(weight, o!, i!))
  const product = reference.matmul(x, matrix)
  const biased = reference.zip(product, bias, (a, b) => a + b)
  const flat = { shape: [n, 30], values: x.values }
  const wide = noise("wide", 30, 2)
  return [
    convolution("conv2d", noise("dense", 5, 4, 3, 3), noise("b5", 5), { stride: 1, padding: [1, 1], groups: 1 }),
    convolution("conv2d, stride 2", noise("dense", 5, 4, 3, 3), null, { stride: 2, padding: [1, 1], groups: 1 }),
    convolution("conv2d, depthwise row", noise("row", 4, 1, 1, 5), null, { stride: 1, padding: [0, 2], groups: 4 }),
    convolution("conv2d, two filters per channel", noise("two", 8, 1, 7, 7), noise("b8", 8), {
      stride: 2,
      padding: [3, 3],
      groups: 4,
    }),
    floats("linear", [x], { weight, bias }, biased, (p, a) => a.linear(p.weight, p.bias)),
    floats("linear without bias", [x], { weight }, product, (p, a) => a.linear(p.weight, null)),
    floats("matmul", [x], { matrix }, product, (p, a) => a.matmul(p.matrix)),
    floats("matmul of rows", [flat], { wide }, reference.matmul(flat, wide), (p, a) => a.matmul(p.wide)),
  ]
}

function attention(n: number): OperationCase[] {
  const [q, k, v] = [noise("q", n, 5, 6), noise("k", n, 5, 6), noise("v", n, 5, 6)]
  const joined = tabulate([n, 5, 18], ([i, l, c]) => at([q, k, v][Math.floor(c! / 6)]!, i!, l!, c! % 6))
  return [false, true].flatMap((causal) => {
    const expected = reference.attention(q, k, v, 2, causal)
    return [
      floats(`attention, causal ${causal}`, [q, k, v], {}, expected, (_, a, b, c) =>
        a.attention(b, c, { heads: 2, causal }),
      ),
      floats(`selfAttention, causal ${causal}`, [joined], {}, expected, (_, a) =>
        a.selfAttention({ heads: 2, causal }),
      ),
    ]
  })
}

function normalization(n: number): OperationCase[] {
  const image = noise("image", n, 4, 3, 2)
  const [weight, bias, runningMean] = [noise("weight", 4), noise("bias", 4), noise("mean", 4)]
  const runningVar = reference.map(noise("variance", 4), (value) => value * value)
  const numBatchesTracked = { shape: [], values: [0] }
  const normalized = tabulate(image.shape, ([b, c, y, z]) => {
    const scaled = (at(image, b!, c!, y!, z!) - at(runningMean, c!)) / Math.sqrt(at(runningVar, c!) + 1e-5)
    return scaled * at(weight, c!) + at(bias, c!)
  })
  const batch = { weight, bias, runningMean, runningVar, numBatchesTracked }
  const rows = noise("rows", n, 3, 4)
  // Small enough for eps to matter.
  const faint = reference.map(rows, (value) => Math.fround(value * 1e-3))
  const layer = (x: NdArray) => reference.layerNorm(x, weight, bias, 1e-5)
  return [
    floats("batchNorm", [image], batch, normalized, (p, a) => a.batchNorm({ ...p, eps: 1e-5, momentum: 0.1 })),
    floats("layerNorm", [rows], { weight, bias }, layer(rows), (p, a) => a.layerNorm(p.weight, p.bias, 1e-5)),
    floats("layerNorm, eps", [faint], { weight, bias }, layer(faint), (p, a) => a.layerNorm(p.weight, p.bias, 1e-5)),
  ]
}

function layout(n: number): OperationCase[] {
  const [x, image] = [noise("x", n, 4, 6), noise("image", n, 3, 4, 5)]
  const [pixels, rows] = [reference.mean(image, [2, 3]), reference.mean(x, [1])]
  const permuted = tabulate([n, 6, 4], ([b, i, j]) => at(x, b!, j!, i!))
  const narrowed = tabulate([n, 4, 2], ([b, i, j]) => at(x, b!, i!, j! + 3))
  const reshaped = (...dims: number[]) => ({ shape: [n, ...dims], values: x.values })
  return [
    floats("mean over pixels", [image], {}, { shape: [n, 3], values: pixels.values }, (_, a) => a.mean([2, 3])),
    floats("mean over pixels, kept", [image], {}, pixels, (_, a) => a.mean([2, 3], true)),
    floats("mean over rows", [x], {}, { shape: [n, 6], values: rows.values }, (_, a) => a.mean([1])),
    floats("reshape", [x], {}, reshaped(2, 12), (_, a) => a.reshape([2, 12])),
    floats("reshape, one size open", [x], {}, reshaped(3, 8), (_, a) => a.reshape([-1, 8])),
    floats("permute", [x], {}, permuted, (_, a) => a.permute([0, 2, 1])),
    floats("narrow", [x], {}, narrowed, (_, a) => a.narrow(2, 3, 2)),
  ]
}

/** Texts of 6 tokens; 9 is EOT, and the last text has two of it. */
function tokens(n: number): OperationCase[] {
  const texts = [
    [8, 1, 9, 0, 0, 0],
    [8, 3, 2, 9, 0, 0],
    [8, 9, 5, 9, 0, 0],
  ].slice(-n)
  const ids = { shape: [n, 6], values: texts.flat() }
  const ends = texts.map((text) => text.indexOf(9))
  const [table, positions] = [noise("table", 10, 4), noise("positions", 8, 4)]
  const embedded = tabulate([n, 6, 4], ([b, l, d]) => at(table, texts[b!]![l!]!, d!))
  const placed = tabulate([n, 6, 4], ([b, l, d]) => at(embedded, b!, l!, d!) + at(positions, l!, d!))
  const endRows = (x: NdArray) => tabulate([n, 4], ([b, d]) => at(x, b!, ends[b!]!, d!))
  const causal = { heads: 2, causal: true } as const
  const encode = (p: { table: Parameter; positions: Parameter }, kept: Tensor) => {
    const x = kept.embedding(p.table).addPositions(p.positions)
    return x.attention(x, x, causal).rowAt(kept.firstEot())
  }
  const encodeEnds = (p: { table: Parameter; positions: Parameter }, kept: Tensor) => {
    const [x, eot] = [kept.embedding(p.table).addPositions(p.positions), kept.firstEot()]
    const query = x.rowAt(eot).reshape([1, 4])
    return query.attention(x, x, { heads: 2, causal: false, bias: x.causalBias(eot) }).reshape([4])
  }
  const encoded = endRows(reference.attention(placed, placed, placed, 2, true))
  return [
    integers("embedding", ids, { table }, embedded, (p, a) => a.embedding(p.table)),
    integers("addPositions", ids, { table, positions }, placed, (p, a) =>
      a.embedding(p.table).addPositions(p.positions),
    ),
    integers("rowAt the first EOT", ids, { table }, endRows(embedded), (p, a) =>
      a.embedding(p.table).rowAt(a.firstEot()),
    ),
    integers("a causal tower", ids, { table, positions }, encoded, encode),
    integers("a causal tower, trimmed", ids, { table, positions }, encoded, (p, a) => encode(p, a.trimToLongest())),
    integers("a causal tower, one row of each text", ids, { table, positions }, encoded, encodeEnds),
    integers("a causal tower, one row, trimmed", ids, { table, positions }, encoded, (p, a) =>
      encodeEnds(p, a.trimToLongest()),
    ),
  ]
}

type Run<Key extends string> = (p: Record<Key, Parameter>, x: Tensor, y: Tensor, z: Tensor) => Tensor

function floats<Key extends string>(
  name: string,
  inputs: readonly NdArray[],
  parameters: Record<Key, NdArray>,
  expected: NdArray,
  run: Run<Key>,
): OperationCase {
  const held = Object.entries<NdArray>(parameters).map(([key, array]) => [key, reference.parameter(array)] as const)
  const byName = Object.fromEntries(held) as Record<Key, Parameter>
  return {
    name,
    inputs: inputs.map((array) => ({ dtype: "float32", array })),
    parameters: new Map(held),
    run: (...tensors) => run(byName, ...(tensors as [Tensor, Tensor, Tensor])),
    expected,
  }
}

function integers<Key extends string>(
  name: string,
  ids: NdArray,
  parameters: Record<Key, NdArray>,
  expected: NdArray,
  run: Run<Key>,
): OperationCase {
  return { ...floats(name, [], parameters, expected, run), inputs: [{ dtype: "int64", array: ids }] }
}
