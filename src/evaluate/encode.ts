/** Pictures and texts to unit vectors. */
import type { Encoder } from "../core/encoder.ts"
import type { Image8 } from "../core/pixels.ts"
import { l2Normalize } from "../core/similarity.ts"

/** Images that are held decoded. */
const BATCH = 64

/** Unit vectors of all `images`, [N, embedDim]: encode once, use in every task. */
export async function imageVectors(
  encoder: Encoder,
  images: Iterable<Image8> | AsyncIterable<Image8>,
  onBatch?: (done: number) => void,
): Promise<Float32Array> {
  const parts: Float32Array[] = []
  let done = 0
  for await (const batch of batches(images)) {
    parts.push(await encoder.encodeImages(batch))
    done += batch.length
    onBatch?.(done)
  }
  return l2Normalize(concat(parts), encoder.embedDim)
}

/** Unit vectors of all `texts`, [N, embedDim]; equal texts are encoded once. */
export async function textVectors(encoder: Encoder, texts: readonly string[]): Promise<Float32Array> {
  const unique = [...new Set(texts)]
  const width = encoder.embedDim
  const vectors = l2Normalize(await encoder.encodeTexts(unique), width)
  const rows = new Map(unique.map((text, i) => [text, vectors.subarray(i * width, (i + 1) * width)]))
  return concat(texts.map((text) => rows.get(text)!))
}

async function* batches<T>(items: Iterable<T> | AsyncIterable<T>): AsyncGenerator<T[]> {
  let batch: T[] = []
  for await (const item of items) {
    batch.push(item)
    if (batch.length < BATCH) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

function concat(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((length, part) => length + part.length, 0))
  let offset = 0
  for (const part of parts) {
    all.set(part, offset)
    offset += part.length
  }
  return all
}
