/** Two versions of one sample: the first thing in which they differ, and by how much. */
import { isDeepStrictEqual } from "node:util"
import type { Embeddings, ReinforcedSample } from "../../../data/reinforced/sample.ts"

/** In one line, or null where there is none: `image_emb: row 2 has the cosine 0.9981`. */
export function firstDifference(a: ReinforcedSample, b: ReinforcedSample): string | null {
  if (a.key !== b.key) return `its key is ${a.key}, and ${b.key} there`
  return (
    pictureDifference(a, b) ??
    valueDifference("url", a.url, b.url) ??
    valueDifference("the captions", a.texts, b.texts) ??
    mapDifference(a.synTexts, b.synTexts, (captions, others, key) => valueDifference(key, captions, others)) ??
    valueDifference("param_aug", a.paramAug, b.paramAug) ??
    mapDifference(a.embeddings, b.embeddings, embeddingDifference) ??
    valueDifference("the other fields", a.fields, b.fields) ??
    mapDifference(a.others, b.others, bytesDifference)
  )
}

/** Least cosine of two matrices' rows, which must have the same shape. Rows of zeros have the cosine 0. */
export function leastCosine(a: Embeddings, b: Embeddings): number {
  return rowCosines(a, b).reduce((least, cosine) => Math.min(least, cosine), 1)
}

/** The cosine of each row of one matrix with the same row of the other. */
export function rowCosines(a: Embeddings, b: Embeddings): number[] {
  return Array.from({ length: a.rows }, (_, row) => {
    const [from, to] = [row * a.width, (row + 1) * a.width]
    return cosine(a.values.subarray(from, to), b.values.subarray(from, to))
  })
}

function cosine(a: Float32Array, b: Float32Array): number {
  let [product, left, right] = [0, 0, 0]
  for (let i = 0; i < a.length; i++) {
    product += a[i]! * b[i]!
    left += a[i]! ** 2
    right += b[i]! ** 2
  }
  return left > 0 && right > 0 ? product / Math.sqrt(left * right) : 0
}

function pictureDifference({ image: a }: ReinforcedSample, { image: b }: ReinforcedSample): string | null {
  if (!a || !b) return a === b ? null : `one of them has ${a ? "a" : "no"} picture, the other has ${b ? "one" : "none"}`
  if (a.extension !== b.extension) return `its picture is ${a.extension}, and ${b.extension} there`
  return bytesDifference(a.bytes, b.bytes, "its picture")
}

function bytesDifference(a: Uint8Array, b: Uint8Array, name: string): string | null {
  return Buffer.compare(a, b) === 0 ? null : `${name} has other bytes (${a.length} and ${b.length})`
}

function valueDifference(name: string, a: unknown, b: unknown): string | null {
  if (isDeepStrictEqual(a, b)) return null
  if (!Array.isArray(a) || !Array.isArray(b)) return `${name}: ${short(a)}, and ${short(b)} there`
  const at = a.findIndex((value, i) => !isDeepStrictEqual(value, b[i]))
  return at < 0 || at >= b.length
    ? `${name}: ${a.length} of them, and ${b.length} there`
    : `${name}, number ${at}: ${short(a[at])}, and ${short(b[at])} there`
}

function mapDifference<T>(
  a: ReadonlyMap<string, T>,
  b: ReadonlyMap<string, T>,
  differ: (a: T, b: T, key: string) => string | null,
): string | null {
  for (const key of [...a.keys(), ...b.keys()].sort()) {
    const [left, right] = [a.get(key), b.get(key)]
    if (left === undefined || right === undefined) return `only one of them has ${key}`
    const difference = differ(left, right, key)
    if (difference) return difference
  }
  return null
}

function embeddingDifference(a: Embeddings, b: Embeddings, name: string): string | null {
  if (a.rows !== b.rows || a.width !== b.width) {
    return `${name} is ${a.rows} x ${a.width}, and ${b.rows} x ${b.width} there`
  }
  const at = a.values.findIndex((value, i) => !Object.is(value, b.values[i]))
  if (at >= 0)
    return `${name}: row ${Math.floor(at / a.width)} is the first to differ; least cosine ${leastCosine(a, b)}`
  return a.dtype === b.dtype ? null : `${name} is stored as ${a.dtype}, and as ${b.dtype} there`
}

function short(value: unknown): string {
  const text = JSON.stringify(value) ?? "none"
  return text.length > 60 ? `${text.slice(0, 60)}...` : text
}
