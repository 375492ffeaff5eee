/**
 * The inner loops on pixels and on vectors, as WebAssembly with SIMD (sources: `kernels/`), and the memory they work in. All
 * callers share one instance: a computation takes memory from its start, and what it leaves there lasts until the next.
 */
import { EnvironmentError } from "../errors.ts"
import { binary } from "./binary.ts"

/** Addresses are bytes in `memory`. */
interface Exports {
  /** A WebAssembly.Memory, which the types of browsers name and those of Node do not. */
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number }
  firstFreeByte(): number
  resizeColumns(
    ...args: [...from: Rows, rows: number, length: number, target: number, targetStride: number, ...taps: TapTable]
  ): void
  resizeRows(...args: [...from: Rows, rowBytes: number, length: number, target: number, ...taps: TapTable]): void
  lookUp(pixels: number, count: number, tables: number): void
  lookUpFloats(pixels: number, count: number, tables: number, target: number): void
  countValues(pixels: number, count: number, histograms: number): void
  sumGray(pixels: number, count: number): bigint
  blendGray(source: number, count: number, factor: number, target: number): void
  sharpen(source: number, width: number, height: number, factor: number, target: number): void
  shift(source: number, width: number, height: number, target: number, left: number, up: number): void
  moveFixed(source: number, width: number, height: number, target: number, ...matrix: Matrix): void
  moveFloat(source: number, width: number, height: number, target: number, ...matrix: Matrix): void
  dotHalf(query: number, rows: number, dim: number, count: number, target: number): void
  packPanels(source: number, rows: number, width: number, tile: number, target: number): void
  multiplyPanels(
    ...args: [rows: number, rowPanels: number, columns: number, columnPanels: number, width: number, target: number]
  ): void
  multiplyPairs(left: number, right: number, pairs: number, width: number, target: number): void
  addRanks(...args: [...products: Products, ...ofRows: Matches, ...ofColumns: Matches]): void
}

type Rows = readonly [source: number, stride: number]
export type TapTable = readonly [starts: number, pairs: number, weights: number, weightStride: number]
type Products = readonly [
  products: number,
  rows: number,
  columns: number,
  stride: number,
  ...first: readonly [row: number, column: number],
]
type Matches = readonly [scores: number, matches: number, ranks: number]
/** Output (x, y) comes from (a0 x + a1 y + a2, a3 x + a4 y + a5). */
export type Matrix = readonly [a0: number, a1: number, a2: number, a3: number, a4: number, a5: number]

/** Kernels read and write up to 16 bytes beyond the end. */
const PADDING = 16
const PAGE = 65_536
/** A larger memory is dropped after the computation that needed it, because WebAssembly's memory cannot shrink. */
const KEPT_BYTES = 64 * 2 ** 20

let compiled: WebAssembly.Module | null = null
let current: Kernels | null = null

/** Runs a computation, which must not start another one inside it: they share the memory. */
export function withKernels<T>(compute: (kernels: Kernels) => T): T {
  current ??= new Kernels()
  try {
    return compute(current)
  } finally {
    if (current.bytes > KEPT_BYTES) current = null
    else current.release()
  }
}

/** Throws EnvironmentError where there is no room: an instance takes gigabytes of addresses, of memory only what it uses. */
function instanceOf(module: WebAssembly.Module): WebAssembly.Instance {
  try {
    return new WebAssembly.Instance(module)
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    throw new EnvironmentError(
      "WebAssembly gets no memory here: each thread needs 10 GB of address space, of which it uses little",
      "allow it (`ulimit -v unlimited`), or use fewer threads",
      { cause },
    )
  }
}

export class Kernels {
  readonly run: Exports
  private readonly start: number
  private end: number

  constructor() {
    compiled ??= new WebAssembly.Module(Uint8Array.from(atob(binary), (character) => character.charCodeAt(0)))
    this.run = instanceOf(compiled).exports as unknown as Exports
    this.start = this.run.firstFreeByte()
    this.end = this.start
  }

  get bytes(): number {
    return this.run.memory.buffer.byteLength
  }

  /** The address of `length` bytes that nothing else uses, with padding after them. Views made before become invalid. */
  reserve(length: number): number {
    const address = Math.ceil(this.end / PADDING) * PADDING
    this.end = address + length + PADDING
    const missing = this.end - this.bytes
    if (missing > 0) this.run.memory.grow(Math.ceil(missing / PAGE))
    return address
  }

  /** All memory is free again. */
  release(): void {
    this.end = this.start
  }

  uint8(address: number, length: number): Uint8Array {
    return new Uint8Array(this.run.memory.buffer, address, length)
  }

  uint32(address: number, length: number): Uint32Array {
    return new Uint32Array(this.run.memory.buffer, address, length)
  }

  int32(address: number, length: number): Int32Array {
    return new Int32Array(this.run.memory.buffer, address, length)
  }

  float32(address: number, length: number): Float32Array {
    return new Float32Array(this.run.memory.buffer, address, length)
  }

  /** A copy of `data` in memory. */
  put(data: Uint8Array | Uint8ClampedArray | Int16Array | Uint16Array | Int32Array | Float32Array): number {
    const address = this.reserve(data.byteLength)
    this.uint8(address, data.byteLength).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    return address
  }
}
