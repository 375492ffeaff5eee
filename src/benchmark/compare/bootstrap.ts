/**
 * Paired bootstrap over pictures: the same pictures are drawn for all models, with replacement, so what is easy for all or
 * hard for all does not widen the interval of a difference. Draws depend on the seed and the task alone.
 */
import { Random } from "../../core/arrays/random.ts"
import { confidence, type Interval } from "./intervals.ts"
import type { Scored } from "./scores.ts"

export interface BootstrapOptions {
  readonly resamples?: number
  readonly seed?: number
}

export const bootstrapDefaults = { resamples: 1000, seed: 0 } as const satisfies Required<BootstrapOptions>

/** For each model its score in every resample. All must have the same number of pictures. */
export function bootstrapScores(
  models: readonly Scored[],
  task: string,
  { resamples = bootstrapDefaults.resamples, seed = bootstrapDefaults.seed }: BootstrapOptions = {},
): Float64Array[] {
  const pictures = models[0]?.pictures ?? 0
  const random = Random.of(seed, "bootstrap", task)
  const scores = models.map(() => new Float64Array(resamples))
  const weights = new Uint16Array(pictures)
  for (let draw = 0; draw < resamples; draw++) {
    weights.fill(0)
    for (let i = 0; i < pictures; i++) weights[random.int(pictures)]! += 1
    for (const [i, { score }] of models.entries()) scores[i]![draw] = score(weights)
  }
  return scores
}

/** The middle 95 % of the values, interpolated as NumPy's `percentile` does. */
export function middleOf(values: Float64Array): Interval {
  const sorted = values.toSorted()
  const at = (share: number) => {
    const position = share * (sorted.length - 1)
    const [before, after] = [sorted[Math.floor(position)]!, sorted[Math.ceil(position)]!]
    return before + (position % 1) * (after - before)
  }
  return { low: at((1 - confidence) / 2), high: at((1 + confidence) / 2) }
}

/** Of `to - from`, drawn together. */
export function pairedDifference(from: Float64Array, to: Float64Array): Interval {
  return middleOf(to.map((score, i) => score - from[i]!))
}
