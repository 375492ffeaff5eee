/** A view that is being made, in the kernels' memory: operations read and replace its pixels. */

import { lookUpFloats, normalizedBytes, type Preprocessing } from "../../core/image/preprocess.ts"
import type { Kernels, Matrix } from "../../core/kernels/kernels.ts"

/** What each of the 256 values becomes; results are cut to 0..255. */
export type ByteTable = (value: number) => number

export class Canvas {
  private spare: number
  /** [3, 256]: tables that every pixel has still to go through. */
  private pending: Uint8Array | null = null

  /** @param pixels the address of width * height RGB pixels */
  constructor(
    readonly kernels: Kernels,
    private pixels: number,
    readonly width: number,
    readonly height: number,
  ) {
    this.spare = kernels.reserve(this.count * 3)
  }

  get count(): number {
    return this.width * this.height
  }

  /** The address of the finished pixels. */
  finish(): number {
    if (this.pending) this.kernels.run.lookUp(this.pixels, this.count, this.kernels.put(this.pending))
    this.pending = null
    return this.pixels
  }

  /** [3, height, width] floats, directly where only tables are left to apply, without making the bytes first. */
  finishNormalized(p: Pick<Preprocessing, "mean" | "std">, out: Float32Array): void {
    const floats = normalizedBytes(p)
    const { pending } = this
    const tables = pending ? floats.map((_, i) => floats[(i & ~255) + pending[i]!]!) : floats
    lookUpFloats(this.kernels, this.pixels, this.count, tables, out)
  }

  /** All channels through one table. */
  lookUp(table: ByteTable): void {
    this.lookUpEach([table, table, table])
  }

  lookUpEach([red, green, blue]: readonly [ByteTable, ByteTable, ByteTable]): void {
    const before = this.pending ?? identity
    const tables = new Uint8ClampedArray(768)
    for (let i = 0; i < 256; i++) {
      tables[i] = red(before[i]!)
      tables[i + 256] = green(before[i + 256]!)
      tables[i + 512] = blue(before[i + 512]!)
    }
    this.pending = new Uint8Array(tables.buffer)
  }

  /** How often each value occurs, per channel. */
  histograms(): readonly [Uint32Array, Uint32Array, Uint32Array] {
    const length = 2 * 768
    const address = this.kernels.reserve(length * 4)
    this.kernels.uint32(address, length).fill(0)
    this.kernels.run.countValues(this.finish(), this.count, address)
    const counts = this.kernels.uint32(address, length)
    const sums = counts.slice(0, 768).map((count, i) => count + counts[768 + i]!)
    return [sums.subarray(0, 256), sums.subarray(256, 512), sums.subarray(512)]
  }

  /** The mean of the gray version, in 0..255. */
  meanGray(): number {
    return Number(this.kernels.run.sumGray(this.finish(), this.count)) / this.count
  }

  /** gray + factor * (value - gray), in float32. */
  blendGray(factor: number): void {
    this.kernels.run.blendGray(this.finish(), this.count, factor, this.spare)
    this.swap()
  }

  /** smooth + factor * (value - smooth), in float32. */
  sharpen(factor: number): void {
    this.kernels.run.sharpen(this.finish(), this.width, this.height, factor, this.spare)
    this.swap()
  }

  /** To the right and down, by whole pixels. */
  shift(right: number, down: number): void {
    this.kernels.run.shift(this.finish(), this.width, this.height, this.spare, -right, -down)
    this.swap()
  }

  moveFixed(matrix: Matrix): void {
    this.kernels.run.moveFixed(this.finish(), this.width, this.height, this.spare, ...matrix)
    this.swap()
  }

  moveFloat(matrix: Matrix): void {
    this.kernels.run.moveFloat(this.finish(), this.width, this.height, this.spare, ...matrix)
    this.swap()
  }

  private swap(): void {
    ;[this.pixels, this.spare] = [this.spare, this.pixels]
  }
}

const identity = Uint8Array.from({ length: 768 }, (_, i) => i & 255)
