/** Several classes at once, as CLIP_benchmark scores them. */
import { assert } from "../../core/errors.ts"
import { orLeast } from "./predictions.ts"

/**
 * The mean over classes of the average precision: the precision at the rank of each picture of the class, averaged. A class
 * without pictures has 0, and is averaged in. Scores and targets (0 or 1) are [N, classes].
 */
export function meanAveragePrecision(scores: Float32Array, targets: Uint8Array, classes: number): number {
  const each = averagePrecisions(scores, targets, classes)
  return each.reduce((sum, value) => sum + value, 0) / classes
}

/** For each class; the first of two pictures with equal scores ranks higher, and NaN is the smallest. */
export function averagePrecisions(scores: Float32Array, targets: Uint8Array, classes: number): number[] {
  assert(scores.length === targets.length, `${scores.length} scores for ${targets.length} targets`)
  const pictures = scores.length / classes
  return Array.from({ length: classes }, (_, c) => {
    const score = (picture: number) => orLeast(scores[picture * classes + c]!)
    const order = [...Array(pictures).keys()].sort((a, b) => Number(score(b) > score(a)) - Number(score(b) < score(a)))
    return averagePrecision(order.map((picture) => targets[picture * classes + c] === 1))
  })
}

function averagePrecision(isRight: readonly boolean[]): number {
  let [found, sum] = [0, 0]
  isRight.forEach((right, i) => {
    if (right) sum += ++found / (i + 1)
  })
  return sum / Math.max(found, 1)
}
