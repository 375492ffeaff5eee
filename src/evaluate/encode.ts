/** Encodes pictures and texts as unit vectors. */
import { batchesOf } from "../core/arrays/batches.ts"
import { concatenate } from "../core/arrays/concatenate.ts"
import { l2Normalize } from "../core/arrays/similarity.ts"
import type { Image8 } from "../core/image/pixels.ts"
import type { Encoder } from "../core/inference/encoder.ts"

/** Images that are decoded at a time. */
const BATCH = 64

/** Unit vectors of all `images`, [N, embedDim]: encode once, use in every task. */
export async function imageVectors(
  encoder: Encoder,
  images: Iterable<Image8> | AsyncIterable<Image8>,
  onBatch?: (done: number) => void,
): Promise<Float32Array> {
  const parts: Float32Array[] = []
  let done = 0
  for await (const vectors of vectorBatches(encoder, images)) {
    parts.push(vectors)
    done += vectors.length / encoder.embedDim
    onBatch?.(done)
  }
  return concatenate(parts)
}

/** Unit vectors of the next `images`, [n, embedDim], for what keeps nothing of them. */
export async function* vectorBatches(
  encoder: Encoder,
  images: Iterable<Image8> | AsyncIterable<Image8>,
): AsyncGenerator<Float32Array> {
  for await (const batch of batchesOf(images, BATCH))
    yield l2Normalize(await encoder.encodeImages(batch), encoder.embedDim)
}

/** Unit vectors of all `texts`, [N, embedDim]; equal texts are encoded once. */
export async function textVectors(
  encoder: Pick<Encoder, "embedDim" | "encodeTexts">,
  texts: readonly string[],
): Promise<Float32Array> {
  const rows = await vectorsByText(encoder, texts)
  return concatenate(texts.map((text) => rows.get(text)!))
}

/** The unit vector of each text. */
export async function vectorsByText(
  encoder: Pick<Encoder, "embedDim" | "encodeTexts">,
  texts: Iterable<string>,
): Promise<ReadonlyMap<string, Float32Array>> {
  const unique = [...new Set(texts)]
  const width = encoder.embedDim
  const vectors = l2Normalize(await encoder.encodeTexts(unique), width)
  return new Map(unique.map((text, i) => [text, vectors.subarray(i * width, (i + 1) * width)]))
}
