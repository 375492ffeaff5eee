/** Learning efficiency: how many times fewer samples one way of training needs to be as good as another. */

/** A model's score after so many samples. */
export interface CurvePoint {
  /** Pairs trained on, repeats counted. */
  readonly samplesSeen: number
  /** Main metric of each task, 0..1. */
  readonly tasks: Readonly<Record<string, number>>
  /** Their mean. */
  readonly average: number
}

export type LearningCurve = readonly CurvePoint[]

/**
 * Samples that `curve` needs to reach `average`, between measurements by a straight line, from guessing at the start;
 * null where it never does.
 */
export function samplesToReach(curve: LearningCurve, average: number, guessing: number): number | null {
  let [samples, score] = [0, guessing]
  if (average <= guessing) return 0
  for (const point of curve) {
    if (point.average >= average) {
      const share = (average - score) / (point.average - score)
      return samples + share * (point.samplesSeen - samples)
    }
    ;[samples, score] = [point.samplesSeen, point.average]
  }
  return null
}

/**
 * Samples of `plain` at its best, over the samples `reinforced` needs to be as good. So the ratio says how much longer
 * plain training has to go on; it is a lower bound where plain training would still improve. 0 where `reinforced` never is
 * as good.
 *
 * Plain training that never is better than guessing needs more than all its samples to be as good as `reinforced` where
 * that first is: the ratio is that lower bound, and 1 where neither learned anything. So it is a finite number always.
 */
export function efficiencyRatio(plain: LearningCurve, reinforced: LearningCurve, guessing: number): number {
  const best = plain.reduce((a, b) => (b.average > a.average ? b : a))
  if (best.average <= guessing) return lowerBound(plain, reinforced, guessing)
  const samples = samplesToReach(reinforced, best.average, guessing)
  return samples === null ? 0 : best.samplesSeen / samples
}

function lowerBound(plain: LearningCurve, reinforced: LearningCurve, guessing: number): number {
  const first = reinforced.find(({ average }) => average > guessing)
  return first ? plain.at(-1)!.samplesSeen / first.samplesSeen : 1
}

export interface Spread {
  readonly median: number
  readonly low: number
  readonly high: number
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  const median = (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2
  return { median, low: sorted[0]!, high: sorted.at(-1)! }
}
