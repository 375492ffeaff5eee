/** One ONNX graph on a runtime, which a host supplies: `session.ts` in Node. */

import { UserError } from "../core/errors.ts"
import type { Values } from "../core/inference/caption-decoder.ts"

export interface Port {
  readonly name: string
  /** As ONNX Runtime calls it: "float32", "float16", "int64", "int32". */
  readonly type: string
  /** A name stands for a size that is free. */
  readonly shape: readonly (number | string)[]
}

/** Floats or token ids, row-major. */
export interface Feed {
  readonly data: Float32Array | BigInt64Array
  readonly shape: readonly number[]
}

export interface Ports {
  readonly inputs: readonly Port[]
  readonly outputs: readonly Port[]
}

/** It is opened when it is first used. */
export interface Graph {
  /** Relative to the model's folder, for messages. */
  readonly file: string
  /** What the graph says of itself. */
  ports(): Promise<Ports>
  /**
   * The named outputs for the named inputs: values are converted to the types of the inputs, and what comes out to
   * float32. Throws UserError where the graph cannot be opened, has no such input or output, or fails.
   */
  run<Output extends string>(
    feeds: Readonly<Record<string, Feed>>,
    outputs: readonly Output[],
  ): Promise<Record<Output, Values>>
  /** Frees the graph, which cannot be used again. */
  release(): Promise<void>
}

/** Size of a dimension; null where it is free. */
export function sizeOf(dim: number | string | undefined): number | null {
  return typeof dim === "number" && dim > 0 ? dim : null
}

/** The input or output of this name. Throws UserError where a graph has none. */
export function portNamed(ports: readonly Port[], name: string, kind: "input" | "output", file: string): Port {
  const found = ports.find((port) => port.name === name)
  if (found) return found
  throw new UserError(
    `${file} has no ${kind} "${name}", but ${ports.map((port) => port.name).join(", ")}`,
    "towers give projected embeddings: export them with their projections",
  )
}
