/**
 * Accuracies and recalls from scores, as CLIP_benchmark defines them. Scores are row-major float32 matrices. Where two
 * scores are equal, the first one ranks higher, so a model that gives every class the same score is at chance.
 */
import { assert } from "../core/errors.ts"

/** Counts [true class][predicted class]. */
export type Confusion = readonly (readonly number[])[]

/** 0-based rank of column `target` among `scores`, largest first. */
export function rankOf(scores: ArrayLike<number>, target: number): number {
  const score = scores[target]!
  let rank = 0
  for (let i = 0; i < scores.length; i++) if (scores[i]! > score || (scores[i] === score && i < target)) rank++
  return rank
}

/** Share of rows of scores [N, classes] whose label is among the `k` largest. */
export function topKAccuracy(scores: Float32Array, classes: number, labels: readonly number[], k: number): number {
  const hits = labels.filter((label, i) => rankOf(row(scores, classes, i), label) < k)
  return hits.length / labels.length
}

/** How often each class was predicted for each true class, from scores [N, classes]. */
export function confusionOf(scores: Float32Array, classes: number, labels: readonly number[]): Confusion {
  assert(scores.length === labels.length * classes, `${scores.length} scores for ${labels.length} x ${classes}`)
  const counts = Array.from({ length: classes }, () => new Array<number>(classes).fill(0))
  labels.forEach((label, i) => {
    counts[label]![argmax(row(scores, classes, i))]!++
  })
  return counts
}

/** Share of the counts on the diagonal. */
export function accuracyOf(confusion: Confusion): number {
  return sum(confusion.map((counts, label) => counts[label]!)) / sum(confusion.map(sum))
}

/** Mean of the recalls of the classes that occur (scikit-learn's balanced accuracy). */
export function meanPerClassRecall(confusion: Confusion): number {
  const recalls = confusion.flatMap((counts, label) => (sum(counts) > 0 ? [counts[label]! / sum(counts)] : []))
  return sum(recalls) / recalls.length
}

/** 0-based ranks of matching images and texts, in both directions. */
interface Ranks {
  /** For each text the rank of its image among all images. */
  readonly textToImage: readonly number[]
  /** For each image the rank of the best of its texts among all texts; infinite for an image without texts. */
  readonly imageToText: readonly number[]
}

/** Ranks in cosines [images, texts], where text t describes image `imageOfText[t]`. */
export function retrievalRanks(cosines: Float32Array, imageOfText: readonly number[]): Ranks {
  const texts = imageOfText.length
  const images = cosines.length / texts
  const column = (text: number) => Float32Array.from({ length: images }, (_, image) => cosines[image * texts + text]!)
  const imageToText = new Array<number>(images).fill(Number.POSITIVE_INFINITY)
  imageOfText.forEach((image, text) => {
    imageToText[image] = Math.min(imageToText[image]!, rankOf(row(cosines, texts, image), text))
  })
  return { textToImage: imageOfText.map((image, text) => rankOf(column(text), image)), imageToText }
}

export interface Recall {
  readonly textToImage: number
  readonly imageToText: number
}

/** Shares of ranks among the first `k`. */
export function recallAt({ textToImage, imageToText }: Ranks, k: number): Recall {
  const share = (ranks: readonly number[]) => ranks.filter((rank) => rank < k).length / ranks.length
  return { textToImage: share(textToImage), imageToText: share(imageToText) }
}

function row(matrix: Float32Array, width: number, index: number): Float32Array {
  return matrix.subarray(index * width, (index + 1) * width)
}

function argmax(scores: Float32Array): number {
  return scores.reduce((best, score, i) => (score > scores[best]! ? i : best), 0)
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0)
}
