/** Labels of pictures, the best first, by cosines with the labels' vectors. */
import { cosines, softmax } from "../../core/arrays/similarity.ts"
import type { LabelVectors } from "./label-vectors.ts"

export interface LabelScore {
  readonly label: string
  /** Probability among the labels: a softmax over cosines times the model's logit scale. */
  readonly score: number
  readonly cosine: number
}

/** Where published CLIPs ended, whose training keeps the factor at 100 or below; for models whose files do not say theirs. */
const usualScale = 100

/** Unit vectors of pictures [N, embedDim] -> for each all labels, the best first. */
export function rankLabels(
  pictures: Float32Array,
  { labels, vectors, embedDim, logitScale }: Pick<LabelVectors, "labels" | "vectors" | "embedDim" | "logitScale">,
): LabelScore[][] {
  const similarity = cosines(pictures, vectors, embedDim)
  const scores = softmax(similarity, labels.length, logitScale ?? usualScale)
  return Array.from({ length: pictures.length / embedDim }, (_, picture) => {
    const start = picture * labels.length
    const all = labels.map((label, i) => ({ label, score: scores[start + i]!, cosine: similarity[start + i]! }))
    return all.sort((a, b) => b.cosine - a.cosine)
  })
}
