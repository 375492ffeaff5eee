/** A view being made, in the kernels' memory: what operations read and replace. */
import type { Kernels, Matrix } from "../../core/kernels/kernels.ts"

/** For each channel what each of the 256 values becomes. */
export type Tables = readonly [ByteTable, ByteTable, ByteTable]
export type ByteTable = (value: number) => number

export class Canvas {
  private spare: number

  /** @param pixels the address of width * height RGB pixels */
  constructor(
    readonly kernels: Kernels,
    private pixels: number,
    readonly width: number,
    readonly height: number,
  ) {
    this.spare = kernels.reserve(this.bytes)
  }

  get address(): number {
    return this.pixels
  }

  get count(): number {
    return this.width * this.height
  }

  private get bytes(): number {
    return this.count * 3
  }

  /** Results of the functions are cut off to 0..255. */
  lookUp(tables: Tables): void {
    const bytes = Uint8ClampedArray.from({ length: 768 }, (_, i) => tables[i >> 8]!(i & 255))
    this.kernels.run.lookUp(this.pixels, this.count, this.kernels.put(bytes))
  }

  /** How often each value occurs, per channel. */
  histograms(): readonly [Uint32Array, Uint32Array, Uint32Array] {
    const length = 2 * 768
    const address = this.kernels.reserve(length * 4)
    this.kernels.uint32(address, length).fill(0)
    this.kernels.run.countValues(this.pixels, this.count, address)
    const counts = this.kernels.uint32(address, length)
    const sums = counts.slice(0, 768).map((count, i) => count + counts[768 + i]!)
    return [sums.subarray(0, 256), sums.subarray(256, 512), sums.subarray(512)]
  }

  /** The mean of the gray version, in 0..255. */
  meanGray(): number {
    return Number(this.kernels.run.sumGray(this.pixels, this.count)) / this.count
  }

  /** gray + factor * (value - gray), in float32. */
  blendGray(factor: number): void {
    this.kernels.run.blendGray(this.pixels, this.count, factor, this.spare)
    this.swap()
  }

  /** smooth + factor * (value - smooth), in float32. */
  sharpen(factor: number): void {
    this.kernels.run.sharpen(this.pixels, this.width, this.height, factor, this.spare)
    this.swap()
  }

  moveFixed(matrix: Matrix): void {
    this.kernels.run.moveFixed(this.pixels, this.width, this.height, this.spare, ...matrix)
    this.swap()
  }

  moveFloat(matrix: Matrix): void {
    this.kernels.run.moveFloat(this.pixels, this.width, this.height, this.spare, ...matrix)
    this.swap()
  }

  private swap(): void {
    ;[this.pixels, this.spare] = [this.spare, this.pixels]
  }
}
