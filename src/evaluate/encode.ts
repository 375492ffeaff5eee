/** Pictures and prompts to unit vectors, in batches. */
import type { Encoder } from "../core/encoder.ts"
import { assert } from "../core/errors.ts"
import type { Image8 } from "../core/pixels.ts"
import { l2Normalize } from "../core/similarity.ts"

/** Images or texts given to an encoder at once. */
const BATCH = 64

/** Unit vectors of all `images`, [N, embedDim]: encode once, use in every task. Only a batch is held decoded. */
export async function imageVectors(
  encoder: Encoder,
  images: Iterable<Image8> | AsyncIterable<Image8>,
  onBatch?: (done: number) => void,
): Promise<Float32Array> {
  const vectors = await encodeAll(images, (batch) => encoder.encodeImages(batch), onBatch)
  return l2Normalize(vectors, encoder.embedDim)
}

/** Unit vectors of all `texts`, [N, embedDim]; equal texts are encoded once. */
export async function textVectors(encoder: Encoder, texts: readonly string[]): Promise<Float32Array> {
  const width = encoder.embedDim
  const unique = [...new Set(texts)]
  const vectors = l2Normalize(await encodeAll(unique, (batch) => encoder.encodeTexts(batch)), width)
  const indices = new Map(unique.map((text, i) => [text, i]))
  return concat(texts.map((text) => vectors.subarray(indices.get(text)! * width, (indices.get(text)! + 1) * width)))
}

/**
 * The zero-shot classifier, unit vectors [classes, embedDim]: each template is filled with the class name and encoded
 * to a unit vector; a class is the mean over templates, normalised again (open_clip's rule).
 */
export async function classVectors(
  encoder: Encoder,
  classNames: readonly string[],
  templates: readonly string[],
): Promise<Float32Array> {
  const prompts = classNames.flatMap((name) => templates.map((template) => fillTemplate(template, name)))
  const vectors = await textVectors(encoder, prompts)
  return l2Normalize(meanOfGroups(vectors, templates.length, encoder.embedDim), encoder.embedDim)
}

/** Puts `name` in place of `{}` (or of CLIP_benchmark's `{c}`), wherever it stands. */
export function fillTemplate(template: string, name: string): string {
  assert(/\{c?\}/.test(template), `the template "${template}" has no {}`)
  return template.replaceAll(/\{c?\}/g, () => name)
}

/** Means over each `count` consecutive rows of [groups * count, width] -> [groups, width]. */
function meanOfGroups(vectors: Float32Array, count: number, width: number): Float32Array {
  const means = new Float32Array(vectors.length / count)
  vectors.forEach((value, i) => {
    means[Math.floor(i / (count * width)) * width + (i % width)]! += value / count
  })
  return means
}

async function encodeAll<T>(
  items: Iterable<T> | AsyncIterable<T>,
  encode: (batch: readonly T[]) => Promise<Float32Array>,
  onBatch?: (done: number) => void,
): Promise<Float32Array> {
  const parts: Float32Array[] = []
  let done = 0
  for await (const batch of batches(items)) {
    parts.push(await encode(batch))
    done += batch.length
    onBatch?.(done)
  }
  return concat(parts)
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
