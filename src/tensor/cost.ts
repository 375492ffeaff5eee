/**
 * The interpreter that counts: a tensor is its shape. Running a model's forward once gives parameters, multiply-adds
 * and activation bytes per layer, and catches shape errors in milliseconds.
 *
 * Conventions: a multiply-add is one product of a convolution or a matrix product with a weight; biases, activations
 * and normalization are not counted. The two products of attention (scores, and their use) are counted apart, as most
 * published figures leave them out. What has no parameters belongs to the layer before it.
 */
import { assert } from "../core/errors.ts"
import { composedNorms, composedSelfAttention } from "./composed.ts"
import { Parameter } from "./parameter.ts"
import { ParameterPaths } from "./paths.ts"
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

export interface Cost {
  /** Learned values; running statistics are not among them. */
  readonly parameters: number
  readonly multiplyAdds: number
  readonly attentionMultiplyAdds: number
  /** Float32 results of all operations but views: what a training step holds, before any is freed. */
  readonly activationBytes: number
}

export interface LayerCost extends Cost {
  /** Path of the module that owns the layer's parameters, for example `image.stem.0.convKxk.0.conv`. */
  readonly path: string
  /** The interface's names of the layer's operations, without views: `conv2d`, `gelu`. */
  readonly operations: readonly string[]
  /** Shape of the last operation's result. */
  readonly shape: Shape
  /** Geometry of its convolution, if it has one. */
  readonly convolution: Convolution | null
}

interface Convolution {
  /** Rows and columns. */
  readonly kernel: readonly [number, number]
  readonly stride: number
  readonly groups: number
}

export interface CostReport extends Cost {
  /** In the order of execution. */
  readonly layers: readonly LayerCost[]
}

/**
 * What `forward` costs for inputs of these shapes (batch first). Throws where shapes do not fit, naming the layer.
 * @param parameters what `Module.namedParameters()` gives
 */
export function measureCost(
  parameters: ReadonlyMap<string, Parameter>,
  inputs: readonly Shape[],
  forward: (...inputs: readonly Tensor[]) => unknown,
): CostReport {
  const meter = new Meter(parameters)
  forward(...inputs.map((shape) => new CostTensor(meter, shape)))
  return meter.report()
}

const FLOAT_BYTES = 4

interface Layer extends Record<keyof Cost, number> {
  readonly operations: Set<string>
  shape: Shape
  convolution: Convolution | null
}

class Meter {
  readonly paths: ParameterPaths
  private readonly layers = new Map<string, Layer>()
  private readonly counted = new Set<Parameter>()

  constructor(parameters: ReadonlyMap<string, Parameter>) {
    this.paths = new ParameterPaths(parameters)
  }

  /** Makes the parameter's module the current layer, and counts the parameter the first time. */
  use(...parameters: readonly (Parameter | null)[]): void {
    for (const parameter of parameters) {
      if (!parameter) continue
      this.paths.visit(parameter)
      const isNew = parameter.role === "parameter" && !this.counted.has(parameter)
      this.add({ parameters: isNew ? parameter.size : 0 })
      this.counted.add(parameter)
    }
  }

  add(cost: Partial<Cost>): void {
    const { layer } = this
    for (const [key, value] of Object.entries(cost)) layer[key as keyof Cost] += value
  }

  /** The current layer, made when it is first met. */
  get layer(): Layer {
    const path = this.paths.module
    const layer = this.layers.get(path) ?? {
      parameters: 0,
      multiplyAdds: 0,
      attentionMultiplyAdds: 0,
      activationBytes: 0,
      operations: new Set<string>(),
      shape: [],
      convolution: null,
    }
    this.layers.set(path, layer)
    return layer
  }

  report(): CostReport {
    const layers = Array.from(this.layers, ([path, { operations, ...layer }]) => ({
      path,
      operations: [...operations],
      ...layer,
    }))
    const total = (key: keyof Cost) => layers.reduce((sum, layer) => sum + layer[key], 0)
    return {
      parameters: total("parameters"),
      multiplyAdds: total("multiplyAdds"),
      attentionMultiplyAdds: total("attentionMultiplyAdds"),
      activationBytes: total("activationBytes"),
      layers,
    }
  }
}

class CostTensor implements Tensor {
  constructor(
    private readonly meter: Meter,
    readonly shape: Shape,
  ) {}

  add(other: Operand): Tensor {
    return this.elementwise("add", other)
  }

  sub(other: Operand): Tensor {
    return this.elementwise("sub", other)
  }

  mul(other: Operand | number): Tensor {
    return typeof other === "number" ? this.result("mul", this.shape) : this.elementwise("mul", other)
  }

  gelu(): Tensor {
    return this.result("gelu", this.shape)
  }

  relu(): Tensor {
    return this.result("relu", this.shape)
  }

  sigmoid(): Tensor {
    return this.result("sigmoid", this.shape)
  }

  conv2d(weight: Parameter, bias: Parameter | null, geometry: Conv2dGeometry): Tensor {
    this.meter.use(weight, bias)
    const shape = conv2dShape(this.where("conv2d"), this.shape, weight.shape, geometry)
    const [, , rows, columns] = weight.shape as [number, number, number, number]
    this.meter.layer.convolution = { kernel: [rows, columns], stride: geometry.stride, groups: geometry.groups }
    return this.result("conv2d", shape, { multiplyAdds: count(shape) * count(weight.shape.slice(1)) })
  }

  linear(weight: Parameter, bias: Parameter | null): Tensor {
    this.meter.use(weight, bias)
    return this.product("linear", weight.shape[1]!, weight.shape[0]!)
  }

  matmul(matrix: Parameter): Tensor {
    this.meter.use(matrix)
    return this.product("matmul", matrix.shape[0]!, matrix.shape[1]!)
  }

  /** A causal mask saves nothing here, as it saves nothing in the interpreters that compute. */
  attention(key: Tensor, value: Tensor, { heads, bias }: AttentionOptions): Tensor {
    const shape = attentionShape(this.where("attention"), this.shape, key.shape, value.shape, heads)
    if (bias) checkBias(this.where("attention"), bias.shape, key.shape)
    const [batch, length, width] = shape as [number, number, number]
    const scores = batch * length * key.shape[1]!
    this.meter.add({ activationBytes: 2 * heads * scores * FLOAT_BYTES })
    return this.result("attention", shape, { attentionMultiplyAdds: 2 * scores * width })
  }

  selfAttention(options: SelfAttentionOptions): Tensor {
    return composedSelfAttention(this, options)
  }

  batchNorm({ weight, bias }: BatchNormParameters): Tensor {
    this.meter.use(weight, bias)
    return this.result("batchNorm", normShape(this.where("batchNorm"), this.shape, 1, weight.size))
  }

  addNorms(terms: readonly NormTerm[], factor?: Parameter): Tensor {
    return composedNorms(this, terms, factor)
  }

  layerNorm(weight: Parameter, bias: Parameter): Tensor {
    this.meter.use(weight, bias)
    return this.result("layerNorm", normShape(this.where("layerNorm"), this.shape, -1, weight.size))
  }

  mean(axes: readonly number[], keepDims = false): Tensor {
    return this.result("mean", meanShape(this.where("mean"), this.shape, axes, keepDims))
  }

  reshape(dims: readonly number[]): Tensor {
    return this.view(reshapeShape(this.where("reshape"), this.shape, dims))
  }

  permute(order: readonly number[]): Tensor {
    return this.view(permuteShape(this.where("permute"), this.shape, order))
  }

  narrow(axis: number, start: number, length: number): Tensor {
    return this.view(narrowShape(this.where("narrow"), this.shape, axis, start, length))
  }

  split(axis: number, parts: number): readonly Tensor[] {
    const length = this.shape[axis]! / parts
    return Array.from({ length: parts }, (_, i) => this.narrow(axis, i * length, length))
  }

  concat(others: readonly Tensor[], axis: number): Tensor {
    const shapes = [this, ...others].map(({ shape }) => shape)
    return this.result("concat", concatShape(this.where("concat"), shapes, axis))
  }

  repeat(parameter: Parameter): Tensor {
    this.meter.use(parameter)
    return this.view([this.shape[0]!, ...parameter.shape])
  }

  embedding(table: Parameter): Tensor {
    this.meter.use(table)
    return this.result("embedding", embeddingShape(this.where("embedding"), this.shape, table.shape))
  }

  addPositions(table: Parameter): Tensor {
    this.meter.use(table)
    return this.result("addPositions", positionsShape(this.where("addPositions"), this.shape, table.shape))
  }

  firstEot(): Tensor {
    return this.view(this.shape.slice(0, 1))
  }

  /** The longest text there can be: nothing is cut. */
  trimToLongest(): Tensor {
    return this
  }

  rowAt(positions: Tensor): Tensor {
    return this.result("rowAt", rowAtShape(this.where("rowAt"), this.shape, positions.shape))
  }

  causalBias(positions: Tensor): Tensor {
    rowAtShape(this.where("causalBias"), this.shape, positions.shape)
    return this.result("causalBias", this.shape.slice(0, 2))
  }

  classBias(): Tensor {
    return this.result("classBias", [this.shape[0]!, this.shape[1]! + 1])
  }

  private elementwise(operation: string, other: Operand): Tensor {
    if (other instanceof Parameter) this.meter.use(other)
    return this.result(operation, broadcastShape(this.where(operation), this.shape, other.shape))
  }

  private product(operation: string, inFeatures: number, outFeatures: number): Tensor {
    const shape = linearShape(this.where(operation), this.shape, inFeatures, outFeatures)
    return this.result(operation, shape, { multiplyAdds: count(shape) * inFeatures })
  }

  private result(operation: string, shape: Shape, cost: Partial<Cost> = {}): Tensor {
    this.meter.add({ ...cost, activationBytes: count(shape) * FLOAT_BYTES })
    this.meter.layer.operations.add(operation)
    this.meter.layer.shape = shape
    return this.view(shape)
  }

  private view(shape: Shape): Tensor {
    assert(!shape.includes(-1), "costs need known sizes")
    return new CostTensor(this.meter, shape)
  }

  private where(operation: string): string {
    return this.meter.paths.where(operation)
  }
}

function count(shape: Shape): number {
  return shape.reduce((product, dim) => product * dim, 1)
}
