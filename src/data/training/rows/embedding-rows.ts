/** Which row of a sample's embeddings belongs to a view, a caption, a synthetic caption, in both published layouts. */
import type { Embeddings } from "../../reinforced/sample.ts"
import { syntheticCount } from "../../reinforced/text-embeddings.ts"
import type { TrainingSample } from "./load.ts"

/** One vector of each teacher, side by side. */
export type EmbeddingRow = Float32Array

type Captions = Pick<TrainingSample, "texts" | "synTexts" | "embeddings">

export function viewRow({ embeddings }: Captions, view: number): EmbeddingRow | null {
  return rowOf(embeddings.get("image_emb"), view)
}

export function realRow({ embeddings }: Captions, caption: number): EmbeddingRow | null {
  return rowOf(textEmbeddings(embeddings), caption)
}

/** In an array of its own (DFNDR), or after the original captions', key by key (DataCompDR). */
export function syntheticRow(sample: Captions, key: string, caption: number): EmbeddingRow | null {
  const own = sample.embeddings.get(`${key}_emb`)
  if (own) return rowOf(own, caption)
  const joined = textEmbeddings(sample.embeddings)
  const count = syntheticCount(sample.synTexts)
  if (!joined || joined.rows <= count) return null
  if (sample.texts.length > 0 && joined.rows !== sample.texts.length + count) return null
  let row = joined.rows - count
  for (const [other, texts] of sample.synTexts) {
    if (other === key) return rowOf(joined, row + caption)
    row += texts.length
  }
  return null
}

function textEmbeddings(embeddings: Captions["embeddings"]): Embeddings | undefined {
  return embeddings.get("text_emb") ?? embeddings.get("texts_emb")
}

function rowOf(array: Embeddings | undefined, row: number): EmbeddingRow | null {
  if (!array || row < 0 || row >= array.rows) return null
  return array.values.subarray(row * array.width, (row + 1) * array.width)
}
