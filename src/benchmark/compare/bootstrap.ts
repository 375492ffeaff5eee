/**
 * Paired bootstrap over pictures: the same pictures are drawn for all models, with replacement, so what is easy for all or
 * hard for all does not widen the interval of a difference. Draws depend on the seed and the task alone.
 */
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
