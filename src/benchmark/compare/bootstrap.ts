/**
 * Paired bootstrap over pictures: the same pictures are drawn for all models, with replacement, so what is easy for all or
 * hard for all does not widen the interval of a difference. Draws depend on the seed and the task alone.
 */
import { quantile } from "../../core/arrays/quantile.ts"
import { Random } from "../../core/arrays/random.ts"
import { confidence, type Interval } from "./intervals.ts"
import { drawCounts } from "./multinomial.ts"
import type { Scored } from "./scores.ts"

export interface BootstrapOptions {
  readonly resamples?: number
  readonly seed?: number
}

export const bootstrapDefaults = { resamples: 1000, seed: 0 } as const satisfies Required<BootstrapOptions>

/**
 * For each model its score in every resample. All must have the same pictures. Those for which all models answered alike are
 * drawn as one kind.
 */
export function bootstrapScores(
  models: readonly Scored[],
  task: string,
  { resamples = bootstrapDefaults.resamples, seed = bootstrapDefaults.seed }: BootstrapOptions = {},
): Float64Array[] {
  const { first, sizes } = kindsOf(models)
  const scores = models.map(({ scoreOf }) => ({ score: scoreOf(first), drawn: new Float64Array(resamples) }))
  const random = Random.of(seed, "bootstrap", task)
  const counts = new Float64Array(sizes.length)
  for (let draw = 0; draw < resamples; draw++) {
    drawCounts(sizes, random, counts)
    for (const { score, drawn } of scores) drawn[draw] = score(counts)
  }
  return scores.map(({ drawn }) => drawn)
}

/** The first picture of each kind, and how many there are. */
function kindsOf(models: readonly Scored[]): { readonly first: Int32Array; readonly sizes: readonly number[] } {
  const kinds = new Map<string, { readonly first: number; size: number }>()
  for (let picture = 0; picture < (models[0]?.pictures ?? 0); picture++) {
    const name = models.map(({ kindOf }) => kindOf(picture)).join("|")
    const kind = kinds.get(name)
    if (kind) kind.size += 1
    else kinds.set(name, { first: picture, size: 1 })
  }
  const all = [...kinds.values()]
  return { first: Int32Array.from(all, ({ first }) => first), sizes: all.map(({ size }) => size) }
}

/**
 * The middle 95 % of a score's draws, interpolated as NumPy's `percentile` does, after they are moved so that their mean is the
 * score: the worst of several groups, and F1 over rare classes, are lower in most draws than in the pictures drawn from.
 */
export function middleOf(values: Float64Array, score: number): Interval {
  const shift = score - values.reduce((sum, value) => sum + value, 0) / values.length
  const at = (share: number) => quantile(values, share) + shift
  return { low: at((1 - confidence) / 2), high: at((1 + confidence) / 2) }
}

/** The middle of `to - from`, drawn together; null where it is the same in every draw. */
export function pairedDifference(from: Float64Array, to: Float64Array, difference: number): Interval | null {
  const drawn = to.map((score, i) => score - from[i]!)
  return drawn.some((value) => value !== drawn[0]) ? middleOf(drawn, difference) : null
}
