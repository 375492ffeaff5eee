/** Memory for the pixels of a batch, row after row, for several models: those that take the same pixels share them. */
import type { Preprocessing } from "../core/image/preprocess.ts"
import { sharpness } from "../host/image/sharpness.ts"
import type { Wanted } from "./pixel-plan.ts"

export class PixelRows {
  private readonly batches: ReadonlyMap<string, Wanted>

  constructor(
    preprocessings: readonly Preprocessing[],
    readonly batchSize: number,
  ) {
    const different = new Map(preprocessings.map((each) => [keyOf(each), each]))
    const memory = ({ size }: Preprocessing) => new Float32Array(batchSize * 3 * size * size)
    this.batches = new Map(
      [...different].map(([key, preprocessing]) => [key, { preprocessing, out: memory(preprocessing) }]),
    )
  }

  /** Where the pixels of a picture go. */
  wanted(row: number): Wanted[] {
    return [...this.batches.values()].map(({ preprocessing, out }) => {
      const length = out.length / this.batchSize
      return { preprocessing, out: out.subarray(row * length, (row + 1) * length) }
    })
  }

  /** The first `count` rows of what a model takes: [count, 3, size, size]. */
  of(preprocessing: Preprocessing, count: number): Float32Array {
    const { out } = this.batches.get(keyOf(preprocessing))!
    return out.subarray(0, (out.length / this.batchSize) * count)
  }
}

/** How sharp each of the first `count` pictures is, by the pixels that a model takes. */
export function sharpnessOfRows(rows: PixelRows, preprocessing: Preprocessing, count: number): number[] {
  const pixels = rows.of(preprocessing, count)
  const length = 3 * preprocessing.size ** 2
  return Array.from({ length: count }, (_, row) =>
    sharpness(pixels.subarray(row * length, (row + 1) * length), preprocessing),
  )
}

function keyOf({ size, interpolation, mean, std }: Preprocessing): string {
  return JSON.stringify([size, interpolation, mean, std])
}
