/** A file of named tensors, whatever its format: what a model's weights are read from. */
import type { Dtype } from "./safetensors-header.ts"

export interface TensorFile {
  /** For error messages: its path. */
  readonly name: string
  readonly format: "safetensors" | "torch"
  /** What a safetensors file says of itself; nothing for torch. */
  readonly metadata: Readonly<Record<string, string>>
  /** In the file's order. */
  readonly tensors: ReadonlyMap<string, { readonly dtype: Dtype; readonly shape: readonly number[] }>
  /** Row-major values, read from the file at each call. Throws UserError if there is no such tensor or it is damaged. */
  readFloat32(name: string): Float32Array
  close(): void
}
