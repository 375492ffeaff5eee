/** Many items, some at a time. */
import { concatenate } from "./concatenate.ts"

/** Consecutive items, `size` at a time; the last batch may be smaller. */
export async function* batchesOf<T>(items: AsyncIterable<T> | Iterable<T>, size: number): AsyncGenerator<T[]> {
  let batch: T[] = []
  for await (const item of items) {
    batch.push(item)
    if (batch.length < size) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

/** What `encode(start, end)` gives for rows [start, end), at most `size` of `count` at once; all of it, in order. */
export async function inBatches(
  count: number,
  size: number,
  encode: (start: number, end: number) => Float32Array | Promise<Float32Array>,
): Promise<Float32Array> {
  const parts: Float32Array[] = []
  for (let start = 0; start < count; start += size) parts.push(await encode(start, Math.min(start + size, count)))
  return concatenate(parts)
}
