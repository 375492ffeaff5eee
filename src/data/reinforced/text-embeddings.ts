/**
 * Where the embeddings of synthetic captions lie. The released DataCompDR joins them to the original captions' in one
 * `text_emb`, the originals first; DFNDR keeps `<synthetic key>_emb` beside it. A tag after `emb` belongs to all names.
 */
import type { Embeddings, ReinforcedSample } from "./sample.ts"

export type TextEmbeddings = "joined" | "separate"

type Captions = Pick<ReinforcedSample, "texts" | "synTexts" | "embeddings">

const originalName = /^(texts?)_emb(.*)$/

/** The embeddings in the layout asked for; what cannot be moved (a synthetic key without embeddings) stays. */
export function arrangeTextEmbeddings(sample: Captions, layout: TextEmbeddings): Map<string, Embeddings> {
  const result = new Map<string, Embeddings>()
  const moved = new Set<string>()
  for (const [name, array] of sample.embeddings) {
    const tag = originalName.exec(name)?.[2]
    const pieces = tag === undefined ? null : rearranged(sample, name, array, tag, layout)
    for (const [key, piece] of pieces ?? [[name, array]]) result.set(key, piece)
    if (pieces && layout === "joined") for (const key of synNames(sample, tag!)) moved.add(key)
  }
  for (const name of moved) result.delete(name)
  return result
}

/** Null where the array is in the layout already, or cannot be moved to it. */
function rearranged(
  sample: Captions,
  name: string,
  array: Embeddings,
  tag: string,
  layout: TextEmbeddings,
): (readonly [string, Embeddings])[] | null {
  if (sample.synTexts.size === 0) return null
  const own = synNames(sample, tag).flatMap((key) => sample.embeddings.get(key) ?? [])
  if (layout === "separate") return own.length === 0 ? split(sample, name, array, tag) : null
  const isWhole = own.length === sample.synTexts.size && own.every(({ width }) => width === array.width)
  return isWhole ? [[name, concatenated([array, ...own])]] : null
}

function synNames({ synTexts }: Captions, tag: string): string[] {
  return [...synTexts.keys()].map((key) => `${key}_emb${tag}`)
}

function split({ texts, synTexts }: Captions, name: string, array: Embeddings, tag: string) {
  const count = syntheticCount(synTexts)
  // Where the shard has no captions, only this tells how many there were.
  const originals = texts.length || array.rows - count
  if (originals <= 0 || array.rows !== originals + count) return null
  const pieces = [[name, slice(array, 0, originals)] as const]
  let row = originals
  for (const [key, { length }] of synTexts) {
    pieces.push([`${key}_emb${tag}`, slice(array, row, row + length)])
    row += length
  }
  return pieces
}

function slice({ width, values, dtype }: Embeddings, from: number, to: number): Embeddings {
  return { rows: to - from, width, values: values.slice(from * width, to * width), dtype }
}

function concatenated(arrays: readonly Embeddings[]): Embeddings {
  const rows = arrays.reduce((total, array) => total + array.rows, 0)
  const { width, dtype } = arrays[0]!
  const values = new Float32Array(rows * width)
  let offset = 0
  for (const array of arrays) {
    values.set(array.values, offset)
    offset += array.values.length
  }
  return { rows, width, values, dtype }
}

/** Synthetic captions of all keys. */
export function syntheticCount(synTexts: ReadonlyMap<string, readonly string[]>): number {
  return [...synTexts.values()].reduce((total, { length }) => total + length, 0)
}
