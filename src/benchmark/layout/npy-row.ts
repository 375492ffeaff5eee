/** A row of numbers in NumPy's `.npy`: integers, floats and booleans of any width and byte order. */
import { float16ToFloat32 } from "../../core/arrays/half.ts"
import { quoted, UserError } from "../../core/errors.ts"
import { readNpyHeader } from "../../host/containers/npz.ts"

type ReadValue = (view: DataView, offset: number, isLittle: boolean) => number | bigint

const types: Readonly<Record<string, { readonly bytes: number; readonly read: ReadValue }>> = {
  b1: { bytes: 1, read: (view, at) => view.getUint8(at) },
  i1: { bytes: 1, read: (view, at) => view.getInt8(at) },
  u1: { bytes: 1, read: (view, at) => view.getUint8(at) },
  i2: { bytes: 2, read: (view, at, isLittle) => view.getInt16(at, isLittle) },
  u2: { bytes: 2, read: (view, at, isLittle) => view.getUint16(at, isLittle) },
  i4: { bytes: 4, read: (view, at, isLittle) => view.getInt32(at, isLittle) },
  u4: { bytes: 4, read: (view, at, isLittle) => view.getUint32(at, isLittle) },
  i8: { bytes: 8, read: (view, at, isLittle) => view.getBigInt64(at, isLittle) },
  u8: { bytes: 8, read: (view, at, isLittle) => view.getBigUint64(at, isLittle) },
  f2: { bytes: 2, read: (view, at, isLittle) => float16ToFloat32(Uint16Array.of(view.getUint16(at, isLittle)))[0]! },
  f4: { bytes: 4, read: (view, at, isLittle) => view.getFloat32(at, isLittle) },
  f8: { bytes: 8, read: (view, at, isLittle) => view.getFloat64(at, isLittle) },
}

/** Values of a row; multilabel sets have up to thousands of classes. */
const mostValues = 1_000_000

/**
 * The values of a scalar or of an array of one dimension.
 *
 * @param name begins the message of the UserError that other arrays, and anything damaged, give
 */
export function readNpyRow(bytes: Uint8Array, name: string): number[] {
  const { descr, shape, dataStart } = readNpyHeader(bytes, name)
  const [, order, key = ""] = /^([<>|=])(.*)$/.exec(descr) ?? []
  if (!Object.hasOwn(types, key)) throw new UserError(`${name}: type ${quoted(descr)} is not a number's`)
  if (shape.length > 1) throw new UserError(`${name}: an array of shape [${shape}], and a row was expected`)
  const count = shape[0] ?? 1
  const { bytes: width, read } = types[key]!
  if (count > mostValues || bytes.length - dataStart !== count * width)
    throw new UserError(`${name}: ${count} values of type ${quoted(descr)}, but ${bytes.length - dataStart} bytes`)
  const view = new DataView(bytes.buffer, bytes.byteOffset + dataStart, count * width)
  return Array.from({ length: count }, (_, i) => toNumber(read(view, i * width, order !== ">"), name))
}

function toNumber(value: number | bigint, name: string): number {
  const number = Number(value)
  if (typeof value === "bigint" && !Number.isSafeInteger(number)) throw new UserError(`${name}: ${value} is too large`)
  return number
}
