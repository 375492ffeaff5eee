/** A sample's caption vectors by what the captions are, from either layout: `text` for its own, else the synthetic key. */
import type { Embeddings, ReinforcedSample } from "../../data/reinforced/sample.ts"
import { arrangeTextEmbeddings } from "../../data/reinforced/text-embeddings.ts"

/** @param suffix of the job that made them */
export function captionVectors(sample: ReinforcedSample, suffix = ""): Map<string, Embeddings> {
  const separate = arrangeTextEmbeddings(sample, "separate")
  const kinds = ["text", ...sample.synTexts.keys()]
  return new Map(
    kinds.flatMap((kind) => {
      const vectors = separate.get(`${kind}_emb${suffix}`)
      return vectors ? [[kind, vectors] as const] : []
    }),
  )
}
