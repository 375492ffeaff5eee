/** One ONNX graph on a runtime, with what it says of itself. */

export interface Port {
  readonly name: string
  /** As ONNX Runtime calls it: "float32", "float16", "int64", "int32". */
  readonly type: string
  /** A name stands for a size that is free. */
  readonly shape: readonly (number | string)[]
}

export interface Feed {
  readonly data: Float32Array | BigInt64Array
  readonly shape: readonly number[]
}

export interface Graph {
  /** Relative to the model's folder, for messages. */
  readonly file: string
  readonly inputs: readonly Port[]
  readonly outputs: readonly Port[]
  /** Values are converted to the types of the inputs, and what comes out to float32. */
  run(feeds: Readonly<Record<string, Feed>>, output: string): Promise<Float32Array>
  release(): Promise<void>
}

/** Size of a dimension; null where it is free. */
export function sizeOf(dim: number | string | undefined): number | null {
  return typeof dim === "number" && dim > 0 ? dim : null
}
