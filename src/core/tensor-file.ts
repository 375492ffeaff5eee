/** How every file of weights is seen, whatever its format: tensors by name, values read when asked for. */
import type { Dtype } from "./safetensors-header.ts"

export interface TensorFile {
  /** For messages: a path or an address. */
  readonly name: string
  readonly format: "safetensors" | "torch"
  /** Of a safetensors header; empty for other formats. */
  readonly metadata: Readonly<Record<string, string>>
  readonly tensors: ReadonlyMap<string, { readonly dtype: Dtype; readonly shape: readonly number[] }>
  /** Row-major values of a tensor of any type. Throws UserError if the file has none of this name. */
  readFloat32(name: string): Float32Array
  close(): void
}
