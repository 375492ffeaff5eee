/** A graph under construction: nodes in execution order, and initialisers made once however often they are used. */

import { float32ToFloat16 } from "../core/arrays/half.ts"
import { UserError } from "../core/errors.ts"
import {
  type Attribute,
  DATA_TYPES,
  type DataType,
  type EncodedModel,
  type EncodeOptions,
  encodeModel,
  type NodeProto,
  type TensorProto,
  type ValueInfo,
} from "./onnx-proto.ts"
import type { Parameter } from "./parameter.ts"
import { ParameterPaths } from "./paths.ts"
import type { Shape } from "./shapes.ts"

/** LayerNormalization came with 17. */
const OPSET = 17

export class OnnxGraph {
  readonly paths: ParameterPaths
  /** How many tokens are left after `trimToLongest`: as a value of shape [1], and at most. */
  trimmed: { readonly length: string; readonly max: number } | null = null

  private readonly nodes: NodeProto[] = []
  private readonly inputs: ValueInfo[] = []
  private readonly outputs: ValueInfo[] = []
  private readonly initializers = new Map<string, TensorProto>()

  constructor(
    private readonly name: string,
    parameters: ReadonlyMap<string, Parameter>,
    /** Type of the weights and of all computations; inputs and outputs stay float32. */
    readonly dtype: "float32" | "float16",
  ) {
    this.paths = new ParameterPaths(parameters)
  }

  /** Returns the name of the value: the input, or the input converted to the type that is computed in. */
  input(name: string, dtype: DataType, shape: Shape): string {
    this.inputs.push({ name, dtype, shape: nameUnknown(shape) })
    return dtype === "float32" && this.dtype !== dtype ? this.cast(name) : name
  }

  /** Token ids as int64, which is what they are compared in; a layout may have them as int32. */
  ids(value: string): string {
    return this.inputs.some(({ dtype }) => dtype === "int32") ? this.cast(value, "int64") : value
  }

  /** Converts a value of another type, by default to the type that is computed in. */
  cast(value: string, to: DataType = this.dtype): string {
    return this.emit("Cast", [value], { to: { int: DATA_TYPES[to] } })
  }

  /** Names the value `from` as an output; runtimes remove the Identity when they optimise the graph. */
  output(name: string, from: string, shape: Shape): void {
    const cast = this.dtype !== "float32"
    const attributes: Readonly<Record<string, Attribute>> = cast ? { to: { int: DATA_TYPES.float32 } } : {}
    this.nodes.push({ name, opType: cast ? "Cast" : "Identity", inputs: [from], outputs: [name], attributes })
    this.outputs.push({
      name,
      dtype: "float32",
      shape: nameUnknown(shape),
    })
  }

  /** Adds a node and gives the name of its only output: the module it belongs to, the operator and a number. */
  emit(opType: string, inputs: readonly string[], attributes: Readonly<Record<string, Attribute>> = {}): string {
    const name = `${this.paths.module}/${opType}_${this.nodes.length}`
    this.nodes.push({ name, opType, inputs, outputs: [name], attributes })
    return name
  }

  /** A parameter as an initialiser that carries its path. `transposed` turns [O, I] into [I, O], which MatMul wants. */
  parameter(parameter: Parameter, layout: "plain" | "transposed" = "plain"): string {
    const path = this.paths.visit(parameter)
    if (layout === "plain") return this.constant(path, parameter.shape, () => parameter.read())
    const [rows, columns] = parameter.shape as [number, number]
    return this.constant(`${path}.transposed`, [columns, rows], () => transpose(parameter.read(), rows, columns))
  }

  scalar(value: number): string {
    return this.constant(`float ${value}`, [], () => Float32Array.of(value))
  }

  /** A one-dimensional int64 value: axes, shapes, bounds. */
  integers(...values: readonly number[]): string {
    const name = `int64 [${values}]`
    return this.initializer({
      name,
      dtype: "int64",
      dims: [values.length],
      read: () => BigInt64Array.from(values, BigInt),
    })
  }

  constant(name: string, dims: readonly number[], read: () => Float32Array): string {
    const half = () => halfPrecision(name, read())
    return this.initializer({ name, dtype: this.dtype, dims, read: this.dtype === "float16" ? half : read })
  }

  /** The second initialiser of a name is the first one again. */
  private initializer(tensor: TensorProto): string {
    if (!this.initializers.has(tensor.name)) this.initializers.set(tensor.name, tensor)
    return tensor.name
  }

  encode(metadata: Readonly<Record<string, string>>, options: EncodeOptions): EncodedModel {
    const graph = {
      name: this.name,
      nodes: this.nodes,
      inputs: this.inputs,
      outputs: this.outputs,
      initializers: [...this.initializers.values()],
    }
    return encodeModel({ producer: "mobileclip", opset: OPSET, metadata, graph }, options)
  }
}

/** The batch, or L after `trimToLongest`. */
function nameUnknown(shape: Shape): (number | string)[] {
  return shape.map((dim, axis) => (dim !== -1 ? dim : axis === 0 ? "batch" : "tokens"))
}

/** Throws UserError where a finite value would become infinite. */
function halfPrecision(name: string, values: Float32Array): Uint16Array {
  const largest = 65504
  const outside = values.find((value) => Math.abs(value) > largest && Number.isFinite(value))
  if (outside === undefined) return float32ToFloat16(values)
  throw new UserError(`${name} holds ${outside}, and float16 ends at ${largest}`, "export this model as fp32")
}

/** In squares that fit a processor's cache. */
function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const side = 32
  const result = new Float32Array(values.length)
  for (let top = 0; top < rows; top += side) {
    for (let left = 0; left < columns; left += side) {
      const [bottom, right] = [Math.min(top + side, rows), Math.min(left + side, columns)]
      for (let row = top; row < bottom; row++) {
        for (let column = left; column < right; column++) result[column * rows + row] = values[row * columns + column]!
      }
    }
  }
  return result
}
