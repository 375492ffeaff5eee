/** Retrieval in both directions, several captions for each picture, as CLIP_benchmark scores it. */
import { matchRanks } from "../../core/arrays/similarity.ts"
import { assert } from "../../core/errors.ts"
import type { Metrics } from "./metrics.ts"

/** 0-based ranks of matching images and texts, in both directions; infinite where there is no match. */
export interface Ranks {
  /** For each text the rank of its image among all images. */
  readonly textToImage: ArrayLike<number>
  /** For each image the rank of the best of its texts among all texts; infinite for an image without texts. */
  readonly imageToText: ArrayLike<number>
}

/**
 * Ranks by cosine of `images` [N, width] and `texts` [M, width], both of unit length, where text t describes image
 * `imageOfText[t]`. Where two cosines are equal, the first one ranks higher. Memory does not grow with N x M.
 */
export function retrievalRanks(
  images: Float32Array,
  texts: Float32Array,
  width: number,
  imageOfText: ArrayLike<number>,
): Ranks {
  assert(texts.length === imageOfText.length * width, "one image for each text")
  return matchRanks(images, texts, width, imageOfText)
}

export interface Recall {
  readonly textToImage: number
  readonly imageToText: number
}

/** Shares of queries that have a match among the first `k`. */
export function recallAt({ textToImage, imageToText }: Ranks, k: number): Recall {
  return { textToImage: shareBelow(textToImage, k), imageToText: shareBelow(imageToText, k) }
}

/** Recalls at 1, 5 and 10. `image_retrieval` is text to image, `text_retrieval` image to text. */
export function retrievalMetrics(ranks: Ranks): Metrics {
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
