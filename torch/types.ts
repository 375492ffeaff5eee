/** What tensors hold, and where they are. */

export type DType = "float32" | "float64" | "float16" | "bfloat16" | "int64" | "int32" | "uint8" | "bool"
export type Device = "cpu" | "cuda" | `cuda:${number}` | "mps"

/** Row-major values; `Uint16Array` holds the bits of float16 or bfloat16, `Uint8Array` also holds booleans. */
export type TensorData = Float32Array | Float64Array | Uint16Array | BigInt64Array | Int32Array | Uint8Array
