/**
 * NumPy's `.npz`: a zip archive of `.npy` arrays (format: numpy/lib/format.py). Numbers only: an array of Python
 * objects is a pickle and is refused.
 */
import { Budget } from "../../core/budget.ts"
import { bytesAsSource, type TensorValues, valuesOf } from "../../core/containers/safetensors.ts"
import { type Dtype, dtypes } from "../../core/containers/safetensors-header.ts"
import { columnMajorStrides, countOf, gather, isRowMajor } from "../../core/containers/strides.ts"
import { messageOf, quoted, UserError } from "../../core/errors.ts"
import type { RandomAccess } from "../../core/random-access.ts"
import { openRandomAccess, readBytes } from "../files/files.ts"
import { readZipDirectory, readZipEntry } from "./zip.ts"
import { zipBytes } from "./zip-write.ts"

interface NpyArray {
  readonly dtype: Dtype
  readonly shape: readonly number[]
  /** Row-major; F16 as bits, BOOL as bytes. */
  readonly values: TensorValues
}

/** NumPy's names, without the byte order -> ours. */
const npyTypes: Readonly<Record<string, Dtype>> = {
  f2: "F16",
  f4: "F32",
  f8: "F64",
  i1: "I8",
  u1: "U8",
  i4: "I32",
  i8: "I64",
  b1: "BOOL",
}

/** NumPy's own limit since 2.0; it was 32 before. */
const mostDimensions = 64

/** NumPy's own limit for what it parses (`max_header_size`). */
const longestHeader = 10_000

/**
 * Bytes that all arrays of an archive together may take. Deflate shrinks embeddings to a half or a quarter, masks and
 * counters to a sixteenth; only constants shrink to a thousandth, and those fit into the first 4 MiB.
 */
const memoryBudget = (size: number) => 2 ** 22 + 16 * size

/**
 * The arrays of an archive by name (without `.npy`). Throws UserError on anything damaged, on types other than
 * little-endian f2, f4, f8, i1, u1, i4, i8 and bool, and where all arrays take more than 16 times the file and 4 MiB.
 *
 * @param name of `pathOrBytes`, for messages, where it is bytes
 * @param budget counts the bytes in place of that limit
 */
export async function readNpz(
  pathOrBytes: string | Uint8Array,
  name = "archive.npz",
  budget?: Pick<Budget, "take">,
): Promise<Map<string, NpyArray>> {
  if (typeof pathOrBytes !== "string") return readArrays(bytesAsSource(name, pathOrBytes), budget)
  const file = openRandomAccess(pathOrBytes)
  try {
    return await readArrays(file, budget)
  } finally {
    file.close()
  }
}

async function readArrays(
  source: RandomAccess,
  budget: Pick<Budget, "take"> = new Budget(memoryBudget(source.size), source.name),
): Promise<Map<string, NpyArray>> {
  const arrays = new Map<string, NpyArray>()
  for (const [name, entry] of await readZipDirectory(source)) {
    if (!name.endsWith(".npy")) throw fail(`${source.name}: ${quoted(name)} is not an array`)
    const bytes = readZipEntry(source, entry, budget)
    arrays.set(name.slice(0, -".npy".length), parseNpy(bytes, `${source.name}, ${quoted(name)}`))
  }
  return arrays
}

/** A `.npy` file that is not in an archive. Throws UserError as `readNpz` does. */
export async function readNpy(path: string): Promise<NpyArray> {
  return parseNpy(await readBytes(path), path)
}

/** An archive of float32 matrices, deflated, as `numpy.savez_compressed` writes it. */
export function npzBytes(arrays: ReadonlyMap<string, { shape: readonly number[]; values: Float32Array }>): Uint8Array {
  const entries = [...arrays].map(([name, { shape, values }]) => [`${name}.npy`, npyBytes(shape, values)] as const)
  return zipBytes(new Map(entries), { deflate: true })
}

/** A `.npy` file of row-major values. */
export function npyBytes(shape: readonly number[], values: Float32Array | Int32Array | BigInt64Array): Uint8Array {
  const descr = values instanceof Float32Array ? "<f4" : values instanceof Int32Array ? "<i4" : "<i8"
  const data = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  return Buffer.concat([npyHeader(shape, descr), data])
}

/** What a `.npy` file begins with, in version 1 of the format. Its row-major data begin at a multiple of 64 bytes. */
export function npyHeader(shape: readonly number[], descr: "<f2" | "<f4" | "<i4" | "<i8"): Uint8Array {
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(", ")
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${sizes}), }`
  const length = Math.ceil((10 + text.length + 1) / 64) * 64 - 10
  const head = Buffer.from("\x93NUMPY\x01\x00..", "latin1")
  head.writeUInt16LE(length, 8)
  return Buffer.concat([head, Buffer.from(`${text.padEnd(length - 1)}\n`)])
}

/** One `.npy` file. `name` begins the message of the UserError that anything damaged gives. */
function parseNpy(bytes: Uint8Array, name: string): NpyArray {
  const { descr, fortran, shape, dataStart } = readNpyHeader(bytes, name)
  const dtype = dtypeOf(descr, name)
  const needed = countOf(shape) * dtypes[dtype].BYTES_PER_ELEMENT
  if (bytes.length - dataStart !== needed) {
    throw fail(`${name}: [${shape}] of ${dtype} is ${needed} bytes, stored are ${bytes.length - dataStart}`)
  }
  const values = valuesOf(bytes.subarray(dataStart), dtype)
  const strides = columnMajorStrides(shape)
  return { dtype, shape, values: fortran && !isRowMajor(shape, strides) ? gather(values, shape, strides) : values }
}

interface NpyHeader {
  /** NumPy's type with its byte order, `<i8`. */
  readonly descr: string
  /** Whether values are column-major. */
  readonly fortran: boolean
  readonly shape: readonly number[]
  /** First byte of the values. */
  readonly dataStart: number
}

/** What a `.npy` file says of itself, whether its type is read here or not. Throws UserError that begins with `name`. */
export function readNpyHeader(bytes: Uint8Array, name: string): NpyHeader {
  const { header, dataStart } = headerOf(bytes, name)
  return { ...parseHeader(header, name), dataStart }
}

/** "\x93NUMPY", version, length of the header (2 bytes in version 1, else 4), header. */
function headerOf(bytes: Uint8Array, name: string): { header: string; dataStart: number } {
  const version = bytes[6] ?? 0
  const start = version === 1 ? 10 : 12
  if (bytes.length < start || Buffer.from(bytes.subarray(0, 6)).toString("latin1") !== "\x93NUMPY") {
    throw fail(`${name} is not a NumPy array`)
  }
  if (version < 1 || version > 3) throw fail(`${name}: version ${version} of the format is not one of 1 to 3`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true)
  const dataStart = start + length
  if (length > longestHeader) throw fail(`${name}: a header of ${length} bytes is more than NumPy reads`)
  if (dataStart > bytes.length) throw fail(`${name}: the header needs ${dataStart} bytes of ${bytes.length}`)
  return { header: decode(bytes.subarray(start, dataStart), version, name), dataStart }
}

function decode(bytes: Uint8Array, version: number, name: string): string {
  try {
    return new TextDecoder(version === 3 ? "utf-8" : "latin1", { fatal: true }).decode(bytes)
  } catch (error) {
    throw fail(`${name}: the header is not text (${messageOf(error)})`)
  }
}

/** A Python dict: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } */
function parseHeader(text: string, name: string): Omit<NpyHeader, "dataStart"> {
  const dict = /^\{((?:[^{}']|'[^']*')*)\}\s*$/.exec(text)?.[1] ?? ""
  const descr = /(?:^|,)\s*'descr':\s*'([^']*)'\s*(?=,|$)/.exec(dict)?.[1]
  const fortran = /(?:^|,)\s*'fortran_order':\s*(True|False)\s*(?=,|$)/.exec(dict)?.[1]
  const shape = /(?:^|,)\s*'shape':\s*\(\s*((?:\d+L?\s*,\s*)*(?:\d+L?)?)\s*\)\s*(?=,|$)/.exec(dict)?.[1]
  if (descr === undefined || fortran === undefined || shape === undefined) {
    throw fail(`${name}: the header is damaged, or of a type with fields`)
  }
  const sizes = [...shape.matchAll(/\d+/g)].map(Number)
  if (sizes.length > mostDimensions || !sizes.every(Number.isSafeInteger)) throw fail(`${name}: the shape is damaged`)
  return { descr, fortran: fortran === "True", shape: sizes }
}

function dtypeOf(descr: string, name: string): Dtype {
  const [, order, type] = /^([<>|=])(.*)$/.exec(descr) ?? []
  if (type?.startsWith("O")) throw fail(`${name} holds Python objects, which are not read`)
  if (order === ">") throw fail(`${name} is big-endian (${quoted(descr)}); write it with arr.astype("<f4")`)
  if (type && Object.hasOwn(npyTypes, type)) return npyTypes[type]!
  throw fail(`${name}: type ${quoted(descr)} is not one of ${Object.keys(npyTypes).join(", ")}`)
}

function fail(message: string): UserError {
  return new UserError(message, "get the file again, or write it with numpy.savez of arrays of numbers")
}
