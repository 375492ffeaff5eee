/** The rows of a `.npy` matrix of vectors, some in memory at a time. */
import { float16ToFloat32 } from "../../../core/arrays/half.ts"
import { oneLine, UserError } from "../../../core/errors.ts"
import { readNpyHeader } from "../../../host/containers/npz.ts"
import { openRandomAccess } from "../../../host/files/files.ts"

export interface NpyRows extends Disposable {
  readonly rows: number
  readonly dim: number
  /** Rows [first, first + count) as float32 [count, dim]. */
  read(first: number, count: number): Float32Array
}

/** The longest header that NumPy reads, and what stands before it. */
const headBytes = 10_012

/** Larger vectors are a header that is damaged: the largest model has 2,048 values. */
const mostValues = 65_536

/** Throws UserError where the file is not a matrix of float16, float32 or float64, or is cut off. */
export function openNpyRows(path: string): NpyRows {
  const file = openRandomAccess(path)
  try {
    const { descr, fortran, shape, dataStart } = readNpyHeader(file.read(0, Math.min(file.size, headBytes)), path)
    const width = Number(/^[<=]f([248])$/.exec(descr)?.[1])
    const [rows = 0, dim = 0] = shape
    requireMatrix(path, { descr, shape, isRowMajor: !fortran || rows <= 1 || dim <= 1, width })
    const wanted = rows * dim * width
    if (file.size - dataStart !== wanted) {
      throw new UserError(
        `${path}: [${shape}] of ${descr} is ${wanted} bytes, stored are ${file.size - dataStart}`,
        "it is damaged or cut off: copy or make it again",
      )
    }
    const read = (first: number, count: number) => {
      return float32Of(file.read(dataStart + first * dim * width, count * dim * width), width)
    }
    return { rows, dim, read, [Symbol.dispose]: () => file.close() }
  } catch (error) {
    file.close()
    throw error
  }
}

interface Found {
  readonly descr: string
  readonly shape: readonly number[]
  readonly isRowMajor: boolean
  readonly width: number
}

function requireMatrix(path: string, { descr, shape, isRowMajor, width }: Found): void {
  if (Number.isNaN(width)) {
    const hint = `write it with array.astype("<f4")`
    throw new UserError(`${path} holds ${oneLine(descr)}, and float16, float32 or float64 were expected`, hint)
  }
  if (shape.length !== 2 || shape[1]! < 1 || shape[1]! > mostValues) {
    throw new UserError(`${path} is an array of [${shape}], and a matrix with a vector in each row was expected`)
  }
  if (isRowMajor) return
  throw new UserError(`${path} is stored column by column`, "write it with numpy.ascontiguousarray")
}

/** The bytes may begin anywhere. */
function float32Of(bytes: Uint8Array, width: number): Float32Array {
  const buffer = bytes.byteOffset % width === 0 ? bytes.buffer : bytes.slice().buffer
  const at = bytes.byteOffset % width === 0 ? bytes.byteOffset : 0
  const count = bytes.length / width
  if (width === 2) return float16ToFloat32(new Uint16Array(buffer, at, count))
  if (width === 4) return new Float32Array(buffer, at, count)
  return Float32Array.from(new Float64Array(buffer, at, count))
}
