/** All rows of a generation into another one. */
import type { Generation } from "../store/index-store.ts"
import type { IndexWriter } from "../store/index-writer.ts"
import { withRows } from "./encode-rows.ts"

const rowsAtOnce = 4096

/** @param change [N, from.dim] -> [N, to.dim]; float16 that is not changed stays bit by bit */
export async function copyRows(
  writer: IndexWriter,
  from: Generation,
  to: Generation,
  change: (rows: Float32Array) => Float32Array,
  signal?: AbortSignal,
): Promise<void> {
  const { count } = writer.store
  await withRows(writer.store, from, async (stored) => {
    for (let first = 0; first < count; first += rowsAtOnce) {
      signal?.throwIfAborted()
      const length = Math.min(rowsAtOnce, count - first)
      writer.setVectors(to, first, change(await stored.read(Uint32Array.from({ length }, (_, i) => first + i))))
    }
  })
}
