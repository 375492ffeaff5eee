/**
 * safetensors (https://github.com/huggingface/safetensors): 8 bytes of header length, a JSON header, tensors.
 * The reader takes a source that can be read at any offset, and reads a tensor only when asked; the writer gives chunks, one
 * tensor at a time. So neither holds a file in memory.
 */

import { bfloat16ToFloat32, float16ToFloat32 } from "../arrays/half.ts"
import { assert, UserError } from "../errors.ts"
import type { RandomAccess } from "../random-access.ts"
import { type Dtype, dtypes, parseHeader, type TensorEntry } from "./safetensors-header.ts"

export type { Dtype, TensorEntry } from "./safetensors-header.ts"

/** F16 and BF16 as their bits, BOOL as bytes. */
export type TensorValues = InstanceType<(typeof dtypes)[Dtype]>

export class SafetensorsFile {
  readonly metadata: Readonly<Record<string, string>>
  /** In the order of the header. */
  readonly tensors: ReadonlyMap<string, TensorEntry>
  private readonly dataStart: number

  /** Reads and checks the header. Throws UserError, naming the file and the tensor, on anything the format forbids. */
  constructor(private readonly source: RandomAccess) {
    const { metadata, tensors, dataStart } = parseHeader(source)
    this.metadata = metadata
    this.tensors = tensors
    this.dataStart = dataStart
  }

  /** The values of a tensor, row-major. Throws UserError if the file has no tensor of this name. */
  read(name: string): TensorValues {
    const { dtype, begin, end } = this.entry(name)
    const bytes = this.source.read(this.dataStart + begin, end - begin)
    return valuesOf(bytes, dtype)
  }

  /** The values of a tensor of any type as float32. */
  readFloat32(name: string): Float32Array {
    return toFloat32(this.read(name), this.entry(name).dtype)
  }

  private entry(name: string): TensorEntry {
    const entry = this.tensors.get(name)
    if (!entry) throw new UserError(`${this.source.name}: no tensor named "${name}"`)
    return entry
  }
}

/** Little-endian bytes as values; a view of them where they lie at a multiple of the element size. */
export function valuesOf(bytes: Uint8Array, dtype: Dtype): TensorValues {
  const array = dtypes[dtype]
  const aligned = bytes.byteOffset % array.BYTES_PER_ELEMENT === 0 ? bytes : new Uint8Array(bytes)
  return new array(aligned.buffer as ArrayBuffer, aligned.byteOffset, bytes.length / array.BYTES_PER_ELEMENT)
}

/** Values of any type as float32; float32 values are returned themselves, not copied. */
export function toFloat32(values: TensorValues, dtype: Dtype): Float32Array {
  if (dtype === "F16") return float16ToFloat32(values as Uint16Array)
  if (dtype === "BF16") return bfloat16ToFloat32(values as Uint16Array)
  if (values instanceof Float32Array) return values
  return values instanceof BigInt64Array ? Float32Array.from(values, Number) : new Float32Array(values)
}

export function bytesAsSource(name: string, bytes: Uint8Array): RandomAccess {
  return { name, size: bytes.length, read: (offset, length) => copyOf(name, bytes, offset, length) }
}

function copyOf(name: string, bytes: Uint8Array, offset: number, length: number): Uint8Array {
  const end = offset + length
  if (end > bytes.length) throw new UserError(`${name} ends at byte ${bytes.length}, before byte ${end}`)
  return new Uint8Array(bytes.subarray(offset, end))
}

export interface TensorToWrite {
  readonly name: string
  readonly dtype: Dtype
  readonly shape: readonly number[]
  /** Called once, when it is this tensor's turn to be written. */
  read(): ArrayBufferView
}

/** The file, in chunks. Tensors are listed in the order given and stored with wider types first, so each is aligned. */
export function* safetensorsChunks(
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>> = {},
): Generator<Uint8Array> {
  const stored = tensors.toSorted((a, b) => elementSize(b.dtype) - elementSize(a.dtype))
  yield header(tensors, offsets(stored), metadata)
  for (const tensor of stored) {
    const values = tensor.read()
    assert(values.byteLength === byteLength(tensor), `${tensor.name}: [${tensor.shape}] in ${values.byteLength} bytes`)
    yield new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  }
}

function offsets(stored: readonly TensorToWrite[]): Map<TensorToWrite, readonly [number, number]> {
  let begin = 0
  return new Map(
    stored.map((tensor) => {
      const range = [begin, begin + byteLength(tensor)] as const
      begin = range[1]
      return [tensor, range]
    }),
  )
}

function header(
  tensors: readonly TensorToWrite[],
  ranges: ReadonlyMap<TensorToWrite, readonly [number, number]>,
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const entries = tensors.map((tensor) => {
    const { name, dtype, shape } = tensor
    return [name, { dtype, shape, data_offsets: ranges.get(tensor) }] as const
  })
  assert(new Set(entries.map(([name]) => name)).size === entries.length, "two tensors of one name")
  const json = new TextEncoder().encode(JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(entries) }))
  const length = Math.ceil(json.length / 8) * 8
  const bytes = new Uint8Array(8 + length).fill(0x20)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true)
  bytes.set(json, 8)
  return bytes
}

function elementSize(dtype: Dtype): number {
  return dtypes[dtype].BYTES_PER_ELEMENT
}

function byteLength({ dtype, shape }: TensorToWrite): number {
  return shape.reduce((product, dim) => product * dim, elementSize(dtype))
}
