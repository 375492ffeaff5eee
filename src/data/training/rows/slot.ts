/** The memory that threads write a batch to: shared, and used again and again. */
import type { Batch } from "../batch.ts"
import type { RowOutput, RowSettings } from "./row.ts"

/** Rows of arrays; what batches do not have is null. */
export interface Slot {
  readonly images: Float32Array
  readonly tokens: BigInt64Array
  readonly synthetic: BigInt64Array | null
  readonly teacher: {
    readonly image: Float32Array
    readonly text: Float32Array
    readonly synthetic: Float32Array | null
  } | null
}

export function createSlot(rows: number, settings: RowSettings): Slot {
  const { preprocessing, contextLength, embeddingWidth: width } = settings
  const hasTerm = settings.syntheticPattern !== null && settings.mixSynthetic === null
  const floats = (length: number) => new Float32Array(new SharedArrayBuffer(rows * length * 4))
  const tokens = () => new BigInt64Array(new SharedArrayBuffer(rows * contextLength * 8))
  return {
    images: floats(3 * preprocessing.size ** 2),
    tokens: tokens(),
    synthetic: hasTerm ? tokens() : null,
    teacher:
      width === null ? null : { image: floats(width), text: floats(width), synthetic: hasTerm ? floats(width) : null },
  }
}

/** The arrays of row `row` of `rows`. */
export function rowOfSlot({ images, tokens, synthetic, teacher }: Slot, row: number, rows: number): RowOutput {
  const part = <T extends Float32Array | BigInt64Array>(array: T): T => {
    const length = array.length / rows
    return array.subarray(row * length, (row + 1) * length) as T
  }
  return {
    image: part(images),
    tokens: part(tokens),
    synthetic: synthetic && part(synthetic),
    imageEmbedding: teacher && part(teacher.image),
    textEmbedding: teacher && part(teacher.text),
    syntheticEmbedding: teacher?.synthetic ? part(teacher.synthetic) : null,
  }
}

/** The arrays themselves. */
export function batchOfSlot({ images, tokens, synthetic, teacher }: Slot, widths: readonly number[] | null): Batch {
  if (!teacher || !widths) return { images, tokens, ...(synthetic && { synthetic }) }
  const { image, text, synthetic: made } = teacher
  const embeddings = { image, text, ...(made && { synthetic: made }), widths }
  return { images, tokens, ...(synthetic && { synthetic }), teacher: embeddings }
}
