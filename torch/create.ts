/** New tensors, from host values or filled. */

import { operator } from "./operator.ts"
import { type Device, type DType, native, type Tensor, type TensorData } from "./tensor.ts"

export interface TensorOptions {
  readonly dtype?: DType
  readonly device?: Device
  readonly requiresGrad?: boolean
}

/**
 * A tensor with a copy of `data`, row-major. Without `dtype` it has that of the typed array, and float32 for numbers;
 * a Uint16Array needs "float16" or "bfloat16" and is read as their bits.
 *
 * @throws Error when the data does not fill the shape, or does not fit the dtype
 */
export function tensor(
  data: TensorData | readonly number[],
  shape: readonly number[],
  options: TensorOptions = {},
): Tensor {
  requireSize(data.length, shape)
  const values = ArrayBuffer.isView(data) ? data : fromNumbers(data, options.dtype)
  const stored = storedDType(values, options.dtype)
  const pinned = options.device?.startsWith("cuda") ?? false
  return placed(native.fromData(values, shape, stored, pinned), options)
}

export function zeros(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return finished(zerosOperator(shape, dtypeOf(options), undefined, options.device), options)
}

export function ones(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return finished(onesOperator(shape, dtypeOf(options), undefined, options.device), options)
}

export function full(shape: readonly number[], value: number, options: TensorOptions = {}): Tensor {
  return finished(fullOperator(shape, value, dtypeOf(options), undefined, options.device), options)
}

/** Uninitialised memory. */
export function empty(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return finished(emptyOperator(shape, dtypeOf(options), undefined, options.device), options)
}

/** Standard normal, from the device's generator (`manualSeed`). */
export function randn(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return finished(randnOperator(shape, dtypeOf(options), undefined, options.device), options)
}

/** Uniform in [0, 1), from the device's generator. */
export function rand(shape: readonly number[], options: TensorOptions = {}): Tensor {
  return finished(randOperator(shape, dtypeOf(options), undefined, options.device), options)
}

/** start, start + step, ... below end; int64 unless a dtype is given. */
export function arange(start: number, end: number, step = 1, options: TensorOptions = {}): Tensor {
  return finished(arangeOperator(start, end, step, options.dtype ?? "int64", undefined, options.device), options)
}

type Sizes = readonly number[]
type Placement = [dtype: DType, layout: undefined, device: Device | undefined]

const zerosOperator = operator<[Sizes, ...Placement], Tensor>("zeros")
const onesOperator = operator<[Sizes, ...Placement], Tensor>("ones")
const fullOperator = operator<[Sizes, number, ...Placement], Tensor>("full")
const emptyOperator = operator<[Sizes, ...Placement], Tensor>("empty.memory_format")
const randnOperator = operator<[Sizes, ...Placement], Tensor>("randn")
const randOperator = operator<[Sizes, ...Placement], Tensor>("rand")
const arangeOperator = operator<[number, number, number, ...Placement], Tensor>("arange.start_step")

const toWithoutWaiting = operator<
  [Tensor, DType, layout: undefined, Device, pinned: undefined, nonBlocking: boolean],
  Tensor
>("to.dtype_layout")

function dtypeOf(options: TensorOptions): DType {
  return options.dtype ?? "float32"
}

function finished(made: Tensor, options: TensorOptions): Tensor {
  return options.requiresGrad ? made.requiresGrad_() : made
}

function requireSize(length: number, shape: readonly number[]): void {
  if (!Array.isArray(shape) || shape.length > 64)
    throw new Error("tensor: expected a shape, an array of up to 64 sizes")
  const elements = shape.reduce((product, size) => product * size, 1)
  if (elements !== length) throw new Error(`tensor: shape [${shape}] needs ${elements} values, the data has ${length}`)
}

/** Brings a tensor just made from host values to its dtype and device, without leaving the intermediate one alive. */
function placed(made: Tensor, options: TensorOptions): Tensor {
  const { dtype = made.dtype, device = made.device } = options
  if (dtype === made.dtype && device === made.device) return finished(made, options)
  // Out of pinned memory, which libtorch keeps until the copy is made: work goes on meanwhile.
  const moved = toWithoutWaiting(made, dtype, undefined, device, undefined, true)
  made.free()
  return finished(moved, options)
}

function fromNumbers(data: readonly number[], dtype: DType | undefined): TensorData {
  switch (dtype) {
    case "int64":
      return BigInt64Array.from(data, (value) => BigInt(value))
    case "int32":
      return unchanged(Int32Array.from(data), data)
    case "uint8":
    case "bool":
      return unchanged(Uint8Array.from(data), data)
    case "float64":
      return Float64Array.from(data)
    default:
      return Float32Array.from(data)
  }
}

/** Typed arrays wrap and truncate in silence. */
function unchanged<T extends Int32Array | Uint8Array>(values: T, data: readonly number[]): T {
  const wrong = data.findIndex((value, i) => Number(value) !== values[i])
  if (wrong >= 0) throw new Error(`tensor: ${data[wrong]} (element ${wrong}) does not fit ${typeName(values)}`)
  return values
}

/** The dtype in which the bytes of `data` are copied, before any conversion. */
function storedDType(data: TensorData, wanted: DType | undefined): DType {
  if (data instanceof Float32Array) return "float32"
  if (data instanceof Float64Array) return "float64"
  if (data instanceof BigInt64Array) return "int64"
  if (data instanceof Int32Array) return "int32"
  if (data instanceof Uint8Array) return wanted === "bool" ? "bool" : "uint8"
  if (data instanceof Uint16Array && (wanted === "float16" || wanted === "bfloat16")) return wanted
  throw new Error(`tensor: a ${typeName(data)} with dtype ${wanted ?? "left out"} is not known; ${accepted}`)
}

const accepted =
  "expected Float32Array, Float64Array, BigInt64Array, Int32Array, Uint8Array, or Uint16Array with dtype float16 or bfloat16"

/** "Float32Array" */
function typeName(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1)
}
