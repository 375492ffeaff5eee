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
 * Samples that `curve` needs to reach `average`. The curve begins at the accuracy of guessing, and is linear between
 * measurements. Null where it never reaches the average.
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
 * The samples of `plain` at its best, divided by the samples that `reinforced` needs to be as good: how many times longer
 * plain training takes. It is a lower bound where plain training would still improve, and 0 where `reinforced` never is as good.
 *
 * Where plain training is never better than guessing, the ratio is all its samples over those after which `reinforced` is: a
 * lower bound. It is 1 where neither learned anything. So the ratio is always finite.
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
