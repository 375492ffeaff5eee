/** A graph under construction: nodes in execution order, and initialisers made once however often they are used. */
import {
  type Attribute,
  DATA_TYPES,
  type DataType,
  type EncodedModel,
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
  /** How many tokens are left behind `trimToLongest`, as a value of shape [1], and at most. */
  trimmed: { readonly length: string; readonly max: number } | null = null

  private readonly nodes: NodeProto[] = []
  private readonly inputs: ValueInfo[] = []
  private readonly outputs: ValueInfo[] = []
  private readonly initializers = new Map<string, TensorProto>()

  constructor(
    private readonly name: string,
    parameters: ReadonlyMap<string, Parameter>,
  ) {
    this.paths = new ParameterPaths(parameters)
  }

  input(name: string, dtype: DataType, shape: Shape): void {
    this.inputs.push({ name, dtype, shape: nameUnknown(shape) })
  }

  /** Of a value of another type, to float. */
  cast(value: string): string {
    return this.emit("Cast", [value], { to: { int: DATA_TYPES.float32 } })
  }

  /** Names the value `from` as an output; the Identity is gone as soon as a runtime optimises the graph. */
  output(name: string, from: string, shape: Shape): void {
    this.nodes.push({ name, opType: "Identity", inputs: [from], outputs: [name], attributes: {} })
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
    return this.initializer({ name, dtype: "float32", dims, read })
  }

  /** The second initialiser of a name is the first one again. */
  private initializer(tensor: TensorProto): string {
    if (!this.initializers.has(tensor.name)) this.initializers.set(tensor.name, tensor)
    return tensor.name
  }

  encode(metadata: Readonly<Record<string, string>>): EncodedModel {
    return encodeModel({
      producer: "mobileclip",
      opset: OPSET,
      metadata,
      graph: {
        name: this.name,
        nodes: this.nodes,
        inputs: this.inputs,
        outputs: this.outputs,
        initializers: [...this.initializers.values()],
      },
    })
  }
}

/** The batch, or L behind `trimToLongest`. */
function nameUnknown(shape: Shape): (number | string)[] {
  return shape.map((dim, axis) => (dim !== -1 ? dim : axis === 0 ? "batch" : "tokens"))
}

function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length)
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) result[column * rows + row] = values[row * columns + column]!
  }
  return result
}
