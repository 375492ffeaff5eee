/**
 * The interpreter that writes a graph: a tensor is the name of a value. `traceOnnx` runs a model's forward once and
 * returns the ONNX file, in evaluation mode (batch norm uses its running statistics).
 *
 * Opset 17 and standard operators only, explicit padding, compositions that ONNX Runtime's optimiser fuses: GELU by
 * Erf, attention by MatMul and Softmax. The batch is dynamic; L is dynamic after `trimToLongest`.
 */
import { assert } from "../core/errors.ts"
import { composedNorms, composedSelfAttention } from "./composed.ts"
import { OnnxGraph } from "./onnx-graph.ts"
import type { Attribute, DataType, EncodedModel, EncodeOptions } from "./onnx-proto.ts"
import { Parameter } from "./parameter.ts"
import {
  attentionShape,
  broadcastShape,
  checkBias,
  concatShape,
  conv2dShape,
  embeddingShape,
  linearShape,
  meanShape,
  narrowShape,
  normShape,
  permuteShape,
  positionsShape,
  reshapeShape,
  rowAtShape,
  type Shape,
} from "./shapes.ts"
import type {
  AttentionOptions,
  BatchNormParameters,
  Conv2dGeometry,
  NormTerm,
  Operand,
  SelfAttentionOptions,
  Tensor,
} from "./tensor.ts"

/**
 * Added to the scores a position must not see. Finite, because fp16 converters clamp infinities and WebGPU may assume
 * there are none; in fp16's range; and below every real score by far more than 104, where exp is exactly 0 in float32.
 */
const MASKED = -1e4

interface OnnxSpec {
  /** Name of the graph. */
  readonly name: string
  /** What `Module.namedParameters()` gives; initialisers carry these paths. */
  readonly parameters: ReadonlyMap<string, Parameter>
  /** Shapes begin with -1, the batch. */
  readonly inputs: Readonly<Record<string, { readonly dtype: DataType; readonly shape: Shape }>>
  /** Stored in the file's metadata. */
  readonly metadata?: Readonly<Record<string, string>>
  /** Type of the weights and of all computations; inputs and outputs stay float32. */
  readonly dtype?: "float32" | "float16"
  /** Where weights are stored that do not fit into one file. */
  readonly encode?: EncodeOptions
}

/**
 * The model `forward` as an ONNX file; its results are the outputs. Weights are read when the file is written, one at
 * a time. Throws where shapes do not fit, naming the layer.
 */
export function traceOnnx(
  spec: OnnxSpec,
  forward: (...inputs: readonly Tensor[]) => Readonly<Record<string, Tensor>>,
): EncodedModel {
  const graph = new OnnxGraph(spec.name, spec.parameters, spec.dtype ?? "float32")
  const inputs = Object.entries(spec.inputs).map(([name, { dtype, shape }]) => {
    return new OnnxTensor(graph, graph.input(name, dtype, shape), shape)
  })
  for (const [name, tensor] of Object.entries(forward(...inputs))) graph.output(name, nameOf(tensor), tensor.shape)
  return graph.encode(spec.metadata ?? {}, spec.encode ?? {})
}

class OnnxTensor implements Tensor {
  constructor(
    private readonly graph: OnnxGraph,
    readonly name: string,
    readonly shape: Shape,
  ) {}

  add(other: Operand): Tensor {
    return this.elementwise("Add", other)
  }

  sub(other: Operand): Tensor {
    return this.elementwise("Sub", other)
  }

  mul(other: Operand | number): Tensor {
    if (typeof other === "number") return this.next("Mul", [this.graph.scalar(other)])
    return this.elementwise("Mul", other)
  }

  gelu(): Tensor {
    const { graph, name } = this
    // (x / 2) * (1 + erf), not x * (1 + erf) / 2: where x is itself a product, as after squeeze-excite, ONNX Runtime
    // 1.30 takes that product for the factor 1/2 and does not fuse.
    const erf = graph.emit("Erf", [graph.emit("Div", [name, graph.scalar(Math.SQRT2)])])
    const gate = graph.emit("Add", [erf, graph.scalar(1)])
    const half = graph.emit("Mul", [name, graph.scalar(0.5)])
    return new OnnxTensor(graph, graph.emit("Mul", [half, gate]), this.shape)
  }

  relu(): Tensor {
    return this.next("Relu")
  }

  sigmoid(): Tensor {
    return this.next("Sigmoid")
  }

  conv2d(weight: Parameter, bias: Parameter | null, geometry: Conv2dGeometry): Tensor {
    const { stride, padding, groups } = geometry
    const operands = bias ? [this.graph.parameter(weight), this.graph.parameter(bias)] : [this.graph.parameter(weight)]
    const attributes = {
      kernel_shape: { ints: weight.shape.slice(2) },
      strides: { ints: [stride, stride] },
      pads: { ints: [...padding, ...padding] },
      group: { int: groups },
    }
    return this.next(
      "Conv",
      operands,
      attributes,
      conv2dShape(this.where("conv2d"), this.shape, weight.shape, geometry),
    )
  }

  linear(weight: Parameter, bias: Parameter | null): Tensor {
    const [outFeatures, inFeatures] = weight.shape as [number, number]
    const matrix = this.graph.parameter(weight, "transposed")
    const shape = linearShape(this.where("linear"), this.shape, inFeatures, outFeatures)
    const product = this.next("MatMul", [matrix], {}, shape)
    return bias ? product.add(bias) : product
  }

  matmul(matrix: Parameter): Tensor {
    const [inFeatures, outFeatures] = matrix.shape as [number, number]
    const operand = this.graph.parameter(matrix)
    return this.next("MatMul", [operand], {}, linearShape(this.where("matmul"), this.shape, inFeatures, outFeatures))
  }

  attention(key: Tensor, value: Tensor, { heads, causal, bias }: AttentionOptions): Tensor {
    const { graph } = this
    const shape = attentionShape(this.where("attention"), this.shape, key.shape, value.shape, heads)
    const width = shape[2]! / heads
    // Queries are scaled before the product, whose sums might leave float16's range.
    const query = graph.emit("Mul", [this.splitHeads(heads, [0, 2, 1, 3]), graph.scalar(width ** -0.5)])
    const product = graph.emit("MatMul", [query, asOnnx(key).splitHeads(heads, [0, 2, 3, 1])])
    const masks = [...(causal ? [causalMask(graph, shape[1]!)] : []), ...(bias ? [this.spread(bias, key)] : [])]
    const scores = masks.reduce((sum, mask) => graph.emit("Add", [sum, mask]), product)
    const weights = graph.emit("Softmax", [scores], { axis: { int: -1 } })
    const mixed = graph.emit("MatMul", [weights, asOnnx(value).splitHeads(heads, [0, 2, 1, 3])])
    const tokens = graph.emit("Transpose", [mixed], { perm: { ints: [0, 2, 1, 3] } })
    return new OnnxTensor(graph, graph.emit("Reshape", [tokens, graph.integers(0, 0, shape[2]!)]), shape)
  }

  selfAttention(options: SelfAttentionOptions): Tensor {
    return composedSelfAttention(this, options)
  }

  batchNorm({ weight, bias, runningMean, runningVar, eps }: BatchNormParameters): Tensor {
    const operands = [weight, bias, runningMean, runningVar].map((parameter) => this.graph.parameter(parameter))
    const shape = normShape(this.where("batchNorm"), this.shape, 1, weight.size)
    return this.next("BatchNormalization", operands, { epsilon: { float: eps } }, shape)
  }

  addNorms(terms: readonly NormTerm[], factor?: Parameter): Tensor {
    return composedNorms(this, terms, factor)
  }

  layerNorm(weight: Parameter, bias: Parameter, eps: number): Tensor {
    const operands = [this.graph.parameter(weight), this.graph.parameter(bias)]
    const attributes = { axis: { int: -1 }, epsilon: { float: eps } }
    return this.next(
      "LayerNormalization",
      operands,
      attributes,
      normShape(this.where("layerNorm"), this.shape, -1, weight.size),
    )
  }

  mean(axes: readonly number[], keepDims = false): Tensor {
    const attributes = { axes: { ints: axes }, keepdims: { int: Number(keepDims) } }
    return this.next("ReduceMean", [], attributes, meanShape(this.where("mean"), this.shape, axes, keepDims))
  }

  reshape(dims: readonly number[]): Tensor {
    const shape = reshapeShape(this.where("reshape"), this.shape, dims)
    // 0 keeps the batch, whatever it is.
    return this.next("Reshape", [this.graph.integers(0, ...dims)], {}, shape)
  }

  permute(order: readonly number[]): Tensor {
    return this.next("Transpose", [], { perm: { ints: order } }, permuteShape(this.where("permute"), this.shape, order))
  }

  narrow(axis: number, start: number, length: number): Tensor {
    const bounds = [[start], [start + length], [axis]].map((values) => this.graph.integers(...values))
    return this.next("Slice", bounds, {}, narrowShape(this.where("narrow"), this.shape, axis, start, length))
  }

  split(axis: number, parts: number): readonly Tensor[] {
    const length = this.shape[axis]! / parts
    return Array.from({ length: parts }, (_, i) => this.narrow(axis, i * length, length))
  }

  concat(others: readonly Tensor[], axis: number): Tensor {
    const shapes = [this, ...others].map(({ shape }) => shape)
    const shape = concatShape(this.where("concat"), shapes, axis)
    return this.next("Concat", others.map(nameOf), { axis: { int: axis } }, shape)
  }

  repeat(parameter: Parameter): Tensor {
    const { graph } = this
    const one = graph.emit("Unsqueeze", [graph.parameter(parameter), graph.integers(0)])
    const batch = graph.emit("Shape", [this.name], { start: { int: 0 }, end: { int: 1 } })
    const size = graph.emit("Concat", [batch, graph.integers(...parameter.shape)], { axis: { int: 0 } })
    return new OnnxTensor(graph, graph.emit("Expand", [one, size]), [-1, ...parameter.shape])
  }

  embedding(table: Parameter): Tensor {
    const name = this.graph.emit("Gather", [this.graph.parameter(table), this.name], { axis: { int: 0 } })
    return new OnnxTensor(this.graph, name, embeddingShape(this.where("embedding"), this.shape, table.shape))
  }

  addPositions(table: Parameter, past?: Tensor): Tensor {
    const { graph, shape } = this
    const rows = graph.parameter(table)
    const result = positionsShape(this.where("addPositions"), shape, table.shape)
    if (past) return this.next("Add", [rowsAfter(graph, rows, nameOf(past), shape[1]!)], {}, result)
    const complete = shape[1] === table.shape[0]
    return this.next("Add", [complete ? rows : firstOf(graph, rows, shape[1]!, [0])], {}, result)
  }

  firstEot(): Tensor {
    return this.next("ArgMax", [], { axis: { int: 1 }, keepdims: { int: 0 }, select_last_index: { int: 0 } }, [-1])
  }

  trimToLongest(): Tensor {
    const { graph } = this
    const ends = nameOf(this.firstEot())
    const last = graph.emit("ReduceMax", [ends], { axes: { ints: [0] }, keepdims: { int: 1 } })
    const length = graph.emit("Add", [last, graph.integers(1)])
    graph.trimmed = { length, max: this.shape[1]! }
    return this.next("Slice", [graph.integers(0), length, graph.integers(1)], {}, [-1, -1])
  }

  rowAt(positions: Tensor): Tensor {
    const { graph } = this
    const shape = rowAtShape(this.where("rowAt"), this.shape, positions.shape)
    const indices = graph.emit("Unsqueeze", [nameOf(positions), graph.integers(1)])
    return this.next("GatherND", [indices], { batch_dims: { int: 1 } }, shape)
  }

  /** The rows of the causal mask that a query at these positions has. */
  causalBias(positions: Tensor): Tensor {
    const { graph, shape } = this
    rowAtShape(this.where("causalBias"), shape, positions.shape)
    const rows = graph.emit("Gather", [causalMask(graph, shape[1]!), nameOf(positions)], { axis: { int: 0 } })
    return new OnnxTensor(graph, rows, shape.slice(0, 2))
  }

  classBias(): Tensor {
    const { graph } = this
    const padding = graph.emit("Equal", [graph.ids(this.name), graph.integers(0)])
    const hidden = graph.emit("Mul", [graph.cast(padding), graph.scalar(MASKED)])
    const pads = graph.integers(0, 1, 0, 0)
    return new OnnxTensor(graph, graph.emit("Pad", [hidden, pads]), [-1, this.shape[1]! + 1])
  }

  /** A bias [N, S] as [N, 1, 1, S], for all heads and queries. */
  private spread(bias: Tensor, key: Tensor): string {
    checkBias(this.where("attention"), bias.shape, key.shape)
    return this.graph.emit("Unsqueeze", [nameOf(bias), this.graph.integers(1, 2)])
  }

  /** [N, L, D] -> [N, L, heads, D/heads], its axes then in the given order. */
  private splitHeads(heads: number, order: readonly number[]): string {
    const { graph, name, shape } = this
    const split = graph.emit("Reshape", [name, graph.integers(0, 0, heads, shape[2]! / heads)])
    return graph.emit("Transpose", [split], { perm: { ints: order } })
  }

  private elementwise(opType: "Add" | "Sub" | "Mul", other: Operand): Tensor {
    const operand = other instanceof Parameter ? this.graph.parameter(other) : nameOf(other)
    return this.next(opType, [operand], {}, broadcastShape(this.where(opType.toLowerCase()), this.shape, other.shape))
  }

  /** The result of a node whose first input is this. */
  private next(
    opType: string,
    operands: readonly string[] = [],
    attributes: Readonly<Record<string, Attribute>> = {},
    shape: Shape = this.shape,
  ): Tensor {
    return new OnnxTensor(this.graph, this.graph.emit(opType, [this.name, ...operands], attributes), shape)
  }

  private where(operation: string): string {
    return this.graph.paths.where(operation)
  }
}

/** The first `length` of a constant along `axes`; -1 is what `trimToLongest` left. */
function firstOf(graph: OnnxGraph, constant: string, length: number, axes: readonly number[]): string {
  const count = length === -1 ? trimmed(graph).length : graph.integers(length)
  const counts = axes.map(() => count)
  const ends = graph.emit("Concat", counts, { axis: { int: 0 } })
  return graph.emit("Slice", [constant, graph.integers(...axes.map(() => 0)), ends, graph.integers(...axes)])
}

/** The `length` rows of a table that follow as many as `past` [N, S, ...] has. */
function rowsAfter(graph: OnnxGraph, rows: string, past: string, length: number): string {
  const start = graph.emit("Shape", [past], { start: { int: 1 }, end: { int: 2 } })
  const end = graph.emit("Add", [start, graph.integers(length)])
  return graph.emit("Slice", [rows, start, end, graph.integers(0)])
}

/** [L, L], added to the scores: a position sees itself and those before it. */
function causalMask(graph: OnnxGraph, length: number): string {
  const size = length === -1 ? trimmed(graph).max : length
  const values = () =>
    Float32Array.from({ length: size * size }, (_, i) => (i % size > Math.floor(i / size) ? MASKED : 0))
  const mask = graph.constant(`causal mask ${size}`, [size, size], values)
  return length === -1 ? firstOf(graph, mask, length, [0, 1]) : mask
}

function trimmed(graph: OnnxGraph): { readonly length: string; readonly max: number } {
  assert(graph.trimmed, "only trimToLongest makes the number of tokens unknown")
  return graph.trimmed
}

function asOnnx(tensor: Tensor): OnnxTensor {
  assert(tensor instanceof OnnxTensor, "a tensor of another interpreter met one of a graph")
  return tensor
}

function nameOf(tensor: Tensor): string {
  return asOnnx(tensor).name
}
