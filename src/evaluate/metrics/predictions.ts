/**
 * What is kept of the scores of a classification: for each picture its label and its best classes. Scores arrive in blocks
 * of pictures, so memory does not grow with pictures x classes.
 */
import { concatenateIntegers } from "../../core/arrays/concatenate.ts"
import { assert } from "../../core/errors.ts"

/** Best classes that are kept for each picture: what the published metrics need. */
export const keptClasses = 5

export interface Predictions {
  readonly classes: number
  /** Index of the right class of each picture, [N]. */
  readonly labels: Int32Array
  /** Best classes of each picture, the best first, [N, kept]. */
  readonly best: Int32Array
  /** At most `classes`. */
  readonly kept: number
}

/**
 * The `k` largest of each row of scores [N, classes], largest first -> [N, min(k, classes)]. Where two scores are equal, the
 * first one ranks higher, so a model that gives every class the same score is at chance; NaN ranks as the smallest.
 */
export function topK(scores: Float32Array, classes: number, k: number): Int32Array {
  assert(scores.length % classes === 0, `${scores.length} scores are not rows of ${classes}`)
  const kept = Math.min(k, classes)
  const best = new Int32Array((scores.length / classes) * kept)
  const values = new Float32Array(kept)
  for (let row = 0, out = 0; row < scores.length; row += classes, out += kept) {
    let found = 0
    for (let c = 0; c < classes; c++) {
      const score = orLeast(scores[row + c]!)
      if (found === kept && !(score > values[kept - 1]!)) continue
      let place = found < kept ? found++ : kept - 1
      for (; place > 0 && values[place - 1]! < score; place--) {
        values[place] = values[place - 1]!
        best[out + place] = best[out + place - 1]!
      }
      values[place] = score
      best[out + place] = c
    }
  }
  return best
}

/** A score that is not a number ranks as the smallest. */
export function orLeast(score: number): number {
  return Number.isNaN(score) ? Number.NEGATIVE_INFINITY : score
}

/** 0-based rank of `target` among `scores`, largest first; the first of equal ones ranks higher. */
export function rankOf(scores: ArrayLike<number>, target: number): number {
  const score = scores[target]!
  let rank = 0
  for (let i = 0; i < scores.length; i++) if (scores[i]! > score || (scores[i] === score && i < target)) rank++
  return rank
}

/** Gathers predictions from blocks of scores. */
export class PredictionCollector {
  private readonly labels: Int32Array[] = []
  private readonly best: Int32Array[] = []

  constructor(
    private readonly classes: number,
    private readonly k: number = keptClasses,
  ) {}

  /** Scores [n, classes] of the next n pictures, and the index of the right class of each. */
  add(scores: Float32Array, labels: ArrayLike<number>): void {
    assert(scores.length === labels.length * this.classes, `${scores.length} scores for ${labels.length} pictures`)
    const block = Int32Array.from(labels)
    assert(
      block.every((label, i) => label === labels[i] && label >= 0 && label < this.classes),
      `labels are below ${this.classes}`,
    )
    this.labels.push(block)
    this.best.push(topK(scores, this.classes, this.k))
  }

  /** All of them, in their order. */
  result(): Predictions {
    const { classes, k } = this
    return {
      classes,
      labels: concatenateIntegers(this.labels),
      best: concatenateIntegers(this.best),
      kept: Math.min(k, classes),
    }
  }
}

/** Predictions of a single block of scores [N, classes]. */
export function predictionsOf(
  scores: Float32Array,
  classes: number,
  labels: ArrayLike<number>,
  k = keptClasses,
): Predictions {
  const collector = new PredictionCollector(classes, k)
  collector.add(scores, labels)
  return collector.result()
}

/** For each picture 1 where its label is among its best `k` classes, else 0. */
export function hitsAt({ labels, best, kept }: Predictions, k: number): Uint8Array {
  assert(k <= kept, `${kept} classes are kept for each picture, not ${k}`)
  return Uint8Array.from(labels, (label, i) => (best.subarray(i * kept, i * kept + k).includes(label) ? 1 : 0))
}

/** The best class of each picture. */
export function bestClass({ labels, best, kept }: Predictions): Int32Array {
  return Int32Array.from(labels, (_, i) => best[i * kept]!)
}
