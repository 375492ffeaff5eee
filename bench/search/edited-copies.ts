/** How near copies of pictures, as people have them, are to their originals, and how near pictures are that are not copies. */
import sharp from "sharp"
import { cosines } from "../../src/core/arrays/similarity.ts"
import type { MobileCLIP } from "../../src/index.ts"

type Edit = (bytes: Buffer) => Promise<Buffer>

/** Without loss, so that each shows one change alone; the last three as programs write them. */
export const edits = {
  "5 % cut off each edge": async (bytes) => {
    const { width, height } = await sharp(bytes).metadata()
    const [left, top] = [width, height].map((side) => Math.max(1, Math.round(side / 20))) as [number, number]
    const area = { left, top, width: width - 2 * left, height: height - 2 * top }
    return sharp(bytes).extract(area).png().toBuffer()
  },
  "half the size": (bytes) => half(bytes).then((image) => image.png().toBuffer()),
  "10 % brighter": (bytes) => sharp(bytes).linear(1.1, 0).png().toBuffer(),
  "10 % darker": (bytes) => sharp(bytes).linear(0.9, 0).png().toBuffer(),
  "JPEG, quality 80": (bytes) => sharp(bytes).jpeg({ quality: 80 }).toBuffer(),
  "JPEG, quality 50": (bytes) => sharp(bytes).jpeg({ quality: 50 }).toBuffer(),
  "half the size, JPEG, quality 75": (bytes) => half(bytes).then((image) => image.jpeg({ quality: 75 }).toBuffer()),
} as const satisfies Record<string, Edit>

async function half(bytes: Buffer) {
  const { width, height } = await sharp(bytes).metadata()
  return sharp(bytes).resize(Math.round(width / 2), Math.round(height / 2), { fit: "fill" })
}

/** Cosines of an edit's copies with their originals. @param vectors [pictures, dim] of the originals */
export async function cosinesOfCopies(
  clip: MobileCLIP,
  pictures: readonly Buffer[],
  vectors: Float32Array,
  edit: Edit,
): Promise<Float32Array> {
  const dim = clip.embedDim
  const copies = await encodeAll(clip, await Promise.all(pictures.map(edit)))
  return Float32Array.from(pictures, (_, i) => dot(vectors, copies, i * dim, dim))
}

function dot(a: Float32Array, b: Float32Array, from: number, dim: number): number {
  let sum = 0
  for (let i = from; i < from + dim; i++) sum += a[i]! * b[i]!
  return sum
}

const atOnce = 64

/** [pictures, dim] */
export async function encodeAll(clip: MobileCLIP, pictures: readonly Buffer[]): Promise<Float32Array> {
  const all = new Float32Array(pictures.length * clip.embedDim)
  for (let first = 0; first < pictures.length; first += atOnce)
    all.set(await clip.encodeImages(pictures.slice(first, first + atOnce)), first * clip.embedDim)
  return all
}

/** Pictures none of which is a copy of another one, as far as is known. */
export interface Neighbours {
  /** The cosine of each picture with the one that is nearest to it. */
  readonly nearest: Float32Array
  /** How many pairs are as near as each threshold. */
  readonly pairs: readonly number[]
}

/** @param vectors [N, dim]. @param thresholds ascending */
export function neighboursOf(vectors: Float32Array, dim: number, thresholds: readonly number[]): Neighbours {
  const count = vectors.length / dim
  const nearest = new Float32Array(count).fill(-1)
  const pairs = thresholds.map(() => 0)
  for (let first = 0; first < count; first += atOnce) {
    const block = cosines(vectors.subarray(first * dim, (first + atOnce) * dim), vectors, dim)
    block.forEach((cosine, i) => {
      const [a, b] = [first + Math.floor(i / count), i % count]
      if (a === b) return
      nearest[a] = Math.max(nearest[a]!, cosine)
      for (let t = 0; a < b && t < thresholds.length && cosine >= thresholds[t]!; t++) pairs[t]!++
    })
  }
  return { nearest, pairs }
}
