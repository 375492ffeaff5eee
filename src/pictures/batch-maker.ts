/** Batches of pixels for models that compute in this thread, prepared while they compute the ones before. */
import { asUserError, type UserError } from "../core/errors.ts"
import type { Image8 } from "../core/image/pixels.ts"
import type { Preprocessing } from "../core/image/preprocess.ts"
import { mapOrdered } from "../core/parallel.ts"
import type { PicturePool } from "./picture-pool.ts"
import { PixelRows } from "./pixel-rows.ts"
import type { PixelOptions } from "./prepare-pixels.ts"
import { type PictureSource, readSource } from "./source.ts"

export interface PixelBatch {
  readonly count: number
  /** The first `count` are filled, but for those of bad pictures. */
  readonly rows: PixelRows
  /** For each picture: decoded, where that is wanted, or why it cannot be. */
  readonly outcomes: readonly (Image8 | null | UserError)[]
}

interface BatchMakerOptions extends PixelOptions {
  readonly pool: PicturePool
  readonly batchSize: number
  /** Whether the decoded pictures are wanted too. */
  readonly wantsImage?: boolean
}

/** Prepares batches in memory that is used again, because the system has to clear new memory. */
export class BatchMaker {
  private readonly spares: PixelRows[] = []

  constructor(
    private readonly preprocessings: readonly Preprocessing[],
    private readonly options: BatchMakerOptions,
  ) {}

  async make(group: readonly PictureSource[]): Promise<PixelBatch> {
    const { pool, batchSize, wantsImage = false, ...options } = this.options
    const rows = this.spares.pop() ?? new PixelRows(this.preprocessings, batchSize)
    const prepare = async ([row, source]: [number, PictureSource]) => {
      try {
        return await pool.prepare(await readSource(source), rows.wanted(row), { ...options, wantsImage })
      } catch (error) {
        return asUserError(error)
      }
    }
    const outcomes: (Image8 | null | UserError)[] = []
    for await (const outcome of mapOrdered(group.entries(), pool.parallel, prepare)) outcomes.push(outcome)
    return { count: group.length, rows, outcomes }
  }

  /** Its memory is used again. */
  recycle({ rows }: PixelBatch): void {
    this.spares.push(rows)
  }
}
