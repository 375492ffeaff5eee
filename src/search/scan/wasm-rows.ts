/** Rows of a file of vectors, read in blocks and multiplied by WebAssembly: in the caller's thread, or in one of a pool. */
import { closeSync, fstatSync } from "node:fs"
import { float16ToFloat32 } from "../../core/arrays/half.ts"
import { type Kernels, withKernels } from "../../core/kernels/kernels.ts"
import { eachProductBlock } from "../../core/kernels/products.ts"
import { openToRead, readAt } from "../../host/files/read-at.ts"
import {
  type Hits,
  isSet,
  mostPairs,
  type Pairs,
  type RowLayout,
  type ScanRequest,
  shortFile,
  tooManyPairs,
} from "./scan-request.ts"
import { TopHits } from "./top-hits.ts"

/** Bytes that are read at a time. */
const blockBytes = 2 ** 20

/** Rows that are compared with all rows after them, in one piece of work. */
export const pairRows = 256
const pairColumns = 512

/** By how much products in tiles and single ones may differ, which sum in another order: much more than they do. */
const rounding = 1e-4

export interface RangeRequest extends Pick<ScanRequest, "k" | "after" | "mask"> {
  readonly queries: readonly Float32Array[]
  /** Rows [first, last) are looked at. */
  readonly first: number
  readonly last: number
}

export interface PairRowsRequest {
  /** Pairs whose first row is in [first, first + pairRows). */
  readonly first: number
  readonly count: number
  readonly threshold: number
  readonly mask?: Uint8Array
}

/** Work for one thread. */
export type RowWork =
  | { readonly kind: "scan"; readonly range: RangeRequest }
  | { readonly kind: "pairs"; readonly rows: PairRowsRequest }

export type RowAnswer = { readonly hits: Hits[] } | { readonly pairs: Pairs }

export interface WasmRowsSettings {
  readonly path: string
  readonly layout: RowLayout
}

export class WasmRows implements Disposable {
  private readonly descriptor: number

  constructor(
    private readonly path: string,
    private readonly layout: RowLayout,
  ) {
    this.descriptor = openToRead(path)
  }

  [Symbol.dispose](): void {
    closeSync(this.descriptor)
  }

  /** Throws UserError where the file is shorter than `count` rows. */
  requireRows(count: number): void {
    const { size } = fstatSync(this.descriptor)
    const expected = this.layout.offset + count * this.rowBytes
    if (size < expected) throw shortFile(this.path, size, expected)
  }

  answer(work: RowWork): RowAnswer {
    return work.kind === "scan" ? { hits: this.scan(work.range) } : { pairs: this.pairs(work.rows) }
  }

  /** The best rows of a range for each query. */
  scan({ queries, first, last, k, after, mask }: RangeRequest): Hits[] {
    const tops = queries.map(() => new TopHits(k, after))
    const perBlock = Math.max(1, Math.floor(blockBytes / this.rowBytes))
    const bits = new Uint8Array(perBlock * this.rowBytes)
    for (let start = first; start < last; start += perBlock) {
      const count = Math.min(perBlock, last - start)
      if (!anySet(mask, start, count)) continue
      const block = bits.subarray(0, count * this.rowBytes)
      this.readRows(start, block)
      this.offer(queries, block, { start, count, mask }, tops)
    }
    return tops.map((top) => top.hits())
  }

  /** The products of single rows with a query. */
  scores(query: Float32Array, positions: Uint32Array): Float32Array {
    const bits = new Uint8Array(this.rowBytes)
    return withKernels((kernels) => {
      const multiply = this.multiplier(kernels, 1)
      const address = kernels.put(query)
      return Float32Array.from(positions, (position) => {
        this.readRows(position, bits)
        return multiply(address, bits, 1)[0]!
      })
    })
  }

  /** [positions, dim] */
  read(positions: Uint32Array): Float32Array {
    const { dim } = this.layout
    const rows = new Float32Array(positions.length * dim)
    positions.forEach((position, i) => {
      rows.set(this.range(position, 1), i * dim)
    })
    return rows
  }

  pairs({ first, count, threshold, mask }: PairRowsRequest): Pairs {
    const left = this.range(first, Math.min(pairRows, count - first))
    const near: [a: number, b: number][] = []
    for (let start = first; start < count; start += pairColumns) {
      const right = this.range(start, Math.min(pairColumns, count - start))
      withKernels((kernels) =>
        eachProductBlock(kernels, left, right, this.layout.dim, (block) => {
          const products = kernels.float32(block.products, block.rows * block.stride)
          for (let y = 0; y < block.rows; y++) {
            for (let x = 0; x < block.columns; x++) {
              if (!(products[y * block.stride + x]! >= threshold - rounding)) continue
              const [a, b] = [first + block.firstRow + y, start + block.firstColumn + x]
              if (a < b && isSet(mask, a) && isSet(mask, b)) near.push([a, b])
            }
          }
        }),
      )
      if (near.length > mostPairs) throw tooManyPairs(threshold)
    }
    return this.scored(near, threshold)
  }

  /** Those whose score is high enough: the same number as in a scan whose query is row a. */
  private scored(near: readonly (readonly [a: number, b: number])[], threshold: number): Pairs {
    const sorted = near.toSorted((x, y) => x[0] - y[0] || x[1] - y[1])
    const scores = sorted.map(([a, b]) => this.scores(this.range(a, 1), Uint32Array.of(b))[0]!)
    const kept = sorted.map((pair, i) => ({ pair, score: scores[i]! })).filter(({ score }) => score >= threshold)
    return {
      a: Uint32Array.from(kept, ({ pair }) => pair[0]),
      b: Uint32Array.from(kept, ({ pair }) => pair[1]),
      scores: Float32Array.from(kept, ({ score }) => score),
    }
  }

  private offer(
    queries: readonly Float32Array[],
    block: Uint8Array,
    { start, count, mask }: { readonly start: number; readonly count: number; readonly mask: Uint8Array | undefined },
    tops: readonly TopHits[],
  ): void {
    withKernels((kernels) => {
      const multiply = this.multiplier(kernels, count)
      queries.forEach((query, q) => {
        const scores = multiply(kernels.put(query), q === 0 ? block : null, count)
        for (let i = 0; i < count; i++) if (isSet(mask, start + i)) tops[q]!.offer(scores[i]!, start + i)
      })
    })
  }

  /** Multiplies a query at an address with rows; null: those of the call before. The answer lasts until the next call. */
  private multiplier(kernels: Kernels, most: number) {
    const { dim } = this.layout
    const [rows, scores] = [kernels.reserve(most * this.rowBytes), kernels.reserve(most * 4)]
    return (query: number, bits: Uint8Array | null, count: number): Float32Array => {
      if (bits) kernels.uint8(rows, bits.length).set(bits)
      kernels.run.dotHalf(query, rows, dim, count, scores)
      return kernels.float32(scores, count)
    }
  }

  /** Rows [first, first + count) as float32. */
  private range(first: number, count: number): Float32Array {
    const bits = new Uint8Array(count * this.rowBytes)
    this.readRows(first, bits)
    return float16ToFloat32(new Uint16Array(bits.buffer))
  }

  private readRows(first: number, bits: Uint8Array): void {
    const start = this.layout.offset + first * this.rowBytes
    readAt(this.descriptor, this.path, start, bits, (at) => shortFile(this.path, at, start + bits.length))
  }

  private get rowBytes(): number {
    return this.layout.dim * 2
  }
}

/** Whether a row of [start, start + count) may be a hit; up to 7 rows beside them count too. */
function anySet(mask: Uint8Array | undefined, start: number, count: number): boolean {
  return mask === undefined || mask.subarray(start >>> 3, (start + count + 7) >>> 3).some((byte) => byte !== 0)
}
