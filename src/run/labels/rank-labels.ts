/** Labels of pictures, the best first, by cosines with the labels' vectors. */
import { largestFirst } from "../../core/arrays/largest-first.ts"
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

/** Cosines in memory at a time; those of many pictures with many labels would not fit. */
const cosinesAtOnce = 2 ** 22

/** Unit vectors of pictures [N, embedDim] -> for each all labels, or the `top` ones, the best first. */
export function rankLabels(pictures: Float32Array, labels: RankedBy, top?: number): LabelScore[][] {
  const atOnce = Math.max(1, Math.floor(cosinesAtOnce / labels.labels.length)) * labels.embedDim
  const ranked: LabelScore[][] = []
  for (let from = 0; from < pictures.length; from += atOnce)
    for (const each of rankSome(pictures.subarray(from, from + atOnce), labels, top)) ranked.push(each)
  return ranked
}

type RankedBy = Pick<LabelVectors, "labels" | "vectors" | "embedDim" | "logitScale">

function rankSome(
  pictures: Float32Array,
  { labels, vectors, embedDim, logitScale }: RankedBy,
  top = labels.length,
): LabelScore[][] {
  const similarity = cosines(pictures, vectors, embedDim)
  const scores = softmax(similarity, labels.length, logitScale ?? usualScale)
  return Array.from({ length: pictures.length / embedDim }, (_, picture) => {
    const start = picture * labels.length
    const own = similarity.subarray(start, start + labels.length)
    return largestFirst(own, top).map((i) => ({ label: labels[i]!, score: scores[start + i]!, cosine: own[i]! }))
  })
}
