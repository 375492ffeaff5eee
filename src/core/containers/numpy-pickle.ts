/**
 * NumPy arrays as Python pickles them (`ndarray.__reduce_ex__` in numpy/_core/src/multiarray/methods.c), read by the
 * restricted reader of pickle.ts: the functions an array's pickle names are known here and only keep their arguments.
 * Protocol 5 calls `_frombuffer(bytes, dtype, shape, order)`; earlier ones make an empty array with `_reconstruct` and
 * give it a state. NumPy 2 says `numpy._core` where NumPy 1 said `numpy.core`.
 */
import { Budget } from "../budget.ts"
import { oneLine, UserError } from "../errors.ts"
import { isSizes } from "../json.ts"
import { readPickle } from "./pickle.ts"
import { type TensorValues, valuesOf } from "./safetensors.ts"
import { type Dtype, dtypes } from "./safetensors-header.ts"
import { columnMajorStrides, countOf, gather, isRowMajor } from "./strides.ts"

interface NumpyArray {
  readonly dtype: Dtype
  readonly shape: readonly number[]
  /** Row-major; F16 as bits. */
  readonly values: TensorValues
}

/** NumPy's names -> ours; only numbers that embeddings are kept in. */
const types: Readonly<Record<string, Dtype>> = { f2: "F16", f4: "F32", f8: "F64" }

/** NumPy's own limit. */
const mostDimensions = 64

/** Protocol 2 stores the bytes as a text, with up to 2 bytes for each, and turns it into bytes. */
const memoryBudget = (size: number) => 2 ** 16 + 4 * size

class PickledDtype {
  order: unknown = "="

  constructor(readonly type: unknown) {}

  /** (version, byte order, ...) */
  setState(state: unknown): void {
    this.order = Array.isArray(state) ? state[1] : null
  }
}

class PickledArray {
  constructor(
    public bytes: unknown = null,
    public dtype: unknown = null,
    public shape: unknown = null,
    public fortran: unknown = false,
  ) {}

  /** (version, shape, dtype, fortran order, bytes) */
  setState(state: unknown): void {
    if (!Array.isArray(state)) return
    ;[, this.shape, this.dtype, this.fortran, this.bytes] = state
  }
}

const fromBuffer = (...[bytes, dtype, shape, order]: readonly unknown[]) =>
  new PickledArray(bytes, dtype, shape, order === "F")
const reconstruct = () => new PickledArray()

const globals: Readonly<Record<string, (...args: readonly unknown[]) => unknown>> = {
  "numpy.core.numeric._frombuffer": fromBuffer,
  "numpy._core.numeric._frombuffer": fromBuffer,
  "numpy.core.multiarray._reconstruct": reconstruct,
  "numpy._core.multiarray._reconstruct": reconstruct,
  "numpy.ndarray": () => null,
  "numpy.dtype": (type) => new PickledDtype(type),
  // How protocol 2 writes bytes: a text of their values and the name of its encoding.
  "_codecs.encode": (text, encoding) => (encoding === "latin1" && typeof text === "string" ? latin1Bytes(text) : null),
  "builtins.bytearray": (bytes) => bytes,
  "__builtin__.bytearray": (bytes) => bytes,
}

/** The array of a pickle. Throws a UserError that begins with `name` on everything else. */
export function readNumpyPickle(bytes: Uint8Array, name: string): NumpyArray {
  const value = readPickle(bytes, { name, globals, budget: new Budget(memoryBudget(bytes.length), name) })
  if (!(value instanceof PickledArray)) throw fail(name, "the pickle is not a NumPy array")
  const shape = shapeOf(value.shape, name)
  const dtype = dtypeOf(value.dtype, name)
  const needed = countOf(shape) * dtypes[dtype].BYTES_PER_ELEMENT
  if (!(value.bytes instanceof Uint8Array) || value.bytes.length !== needed) {
    const found = value.bytes instanceof Uint8Array ? `${value.bytes.length} are stored` : "none are stored"
    throw fail(name, `[${shape}] of ${dtype} is ${needed} bytes, and ${found}`)
  }
  const values = valuesOf(value.bytes, dtype)
  const strides = columnMajorStrides(shape)
  const columns = value.fortran === true && !isRowMajor(shape, strides)
  return { dtype, shape, values: columns ? gather(values, shape, strides) : values }
}

function shapeOf(shape: unknown, name: string): number[] {
  if (Array.isArray(shape) && shape.length <= mostDimensions && isSizes(shape)) return shape
  throw fail(name, "the array's shape is damaged")
}

function dtypeOf(dtype: unknown, name: string): Dtype {
  const { type, order } = dtype instanceof PickledDtype ? dtype : { type: null, order: null }
  if (order === ">") throw fail(name, 'the array is big-endian; write it with arr.astype("<f4")')
  if (typeof type === "string" && Object.hasOwn(types, type) && (order === "<" || order === "=")) return types[type]!
  const found = typeof type === "string" ? oneLine(type) : "unknown"
  throw fail(name, `the array's type is ${found}, not one of ${Object.keys(types).join(", ")}`)
}

/** Null where a letter does not fit into a byte. */
function latin1Bytes(text: string): Uint8Array | null {
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 0xff) return null
    bytes[i] = code
  }
  return bytes
}

function fail(name: string, what: string): UserError {
  return new UserError(`${name}: ${what}`, "a pickle of a float array was expected")
}

/** The pickle of a float32 matrix, in protocol 5 as NumPy 1 writes it, which NumPy 2 reads as well. */
export function numpyPickle(values: Float32Array, rows: number, width: number): Uint8Array {
  const encoder = new TextEncoder()
  const text = (value: string) => [0x8c, value.length, ...encoder.encode(value)]
  const integer = (value: number) => [0x4a, ...littleEndian(value, 4)]
  const global = (module: string, name: string) => [...text(module), ...text(name), 0x93]
  const head = [0x80, 5, ...global("numpy.core.numeric", "_frombuffer"), 0x28, 0x96]
  const type = [...global("numpy", "dtype"), ...text("f4"), 0x89, 0x88, 0x87, 0x52]
  // The dtype's state: version 3, little-endian, and none of the parts that types with fields have.
  const state = [0x28, 0x4b, 3, ...text("<"), 0x4e, 0x4e, 0x4e, ...integer(-1), ...integer(-1), 0x4b, 0, 0x74, 0x62]
  const rest = [...integer(rows), ...integer(width), 0x86, ...text("C"), 0x74, 0x52, 0x2e]
  const data = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  const before = Uint8Array.from([...head, ...littleEndian(data.length, 8)])
  const after = Uint8Array.from([...type, ...state, ...rest])
  const bytes = new Uint8Array(before.length + data.length + after.length)
  bytes.set(before)
  bytes.set(data, before.length)
  bytes.set(after, before.length + data.length)
  return bytes
}

function littleEndian(value: number, length: number): number[] {
  return Array.from({ length }, (_, i) => Math.floor(value / 2 ** (8 * i)) & 0xff)
}
