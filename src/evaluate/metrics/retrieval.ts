/** Retrieval in both directions, several captions for each picture, as CLIP_benchmark scores it. */
import type { MatchRanks } from "../../core/arrays/similarity.ts"
import type { Metrics } from "./metrics.ts"

export interface Recall {
  readonly textToImage: number
  readonly imageToText: number
}

/** Shares of queries that have a match among the first `k`. */
export function recallAt({ textToImage, imageToText }: MatchRanks, k: number): Recall {
  return { textToImage: shareBelow(textToImage, k), imageToText: shareBelow(imageToText, k) }
}

/** Recalls at 1, 5 and 10. `image_retrieval` is text to image, `text_retrieval` image to text. */
export function retrievalMetrics(ranks: MatchRanks): Metrics {
  const at = [1, 5, 10].map((k) => [k, recallAt(ranks, k)] as const)
  const [, first] = at[0]!
  return {
    ...Object.fromEntries(
      at.flatMap(([k, { textToImage, imageToText }]) => [
        [`image_retrieval_recall@${k}`, textToImage],
        [`text_retrieval_recall@${k}`, imageToText],
      ]),
    ),
    "mean_recall@1": (first.textToImage + first.imageToText) / 2,
  }
}

function shareBelow(ranks: ArrayLike<number>, k: number): number {
  let hits = 0
  for (let i = 0; i < ranks.length; i++) if (ranks[i]! < k) hits++
  return hits / ranks.length
}
