/**
 * Learning efficiency: how many times fewer samples, and seconds, one way of training (reinforced) needs to be as good as
 * another (plain). It is measured at shares of plain training's gain over guessing. At its best score plain training is often
 * on a plateau, where a longer run of it alone raises the ratio; so claims are made at `headlineLevel`.
 */

/** A model's score after so many samples. */
export interface CurvePoint {
  /** Pairs trained on, repeats counted. */
  readonly samplesSeen: number
  /** Time of the training steps until here; absent where it was not measured. */
  readonly seconds?: number
  /** Main metric of each task, 0..1. */
  readonly tasks: Readonly<Record<string, number>>
  /** Their mean. */
  readonly average: number
}

export type LearningCurve = readonly CurvePoint[]

/** Shares of plain training's gain over guessing at which the two are compared. */
const gainLevels = [0.8, 0.9, 0.95, 1] as const

/** The level of a claim that is made in one figure. */
export const headlineLevel = 0.9

/** What a score takes. */
interface Cost {
  readonly samples: number
  /** Null where the curve has no times. */
  readonly seconds: number | null
}

/** How many times as much of each plain training takes. */
type CostRatio = Cost

// ------------------------------------------------------------------------------------------------------- pairs

/**
 * What `curve` needs to reach `average`. The curve begins at the accuracy of guessing, and is linear between measurements.
 * Null where it never reaches the average.
 */
export function costToReach(curve: LearningCurve, average: number, guessing: number): Cost | null {
  if (average <= guessing) return { samples: 0, seconds: 0 }
  let before: Omit<CurvePoint, "tasks"> = { samplesSeen: 0, seconds: 0, average: guessing }
  for (const point of curve) {
    if (point.average >= average) {
      const share = (average - before.average) / (point.average - before.average)
      const between = (from: number, to: number) => from + share * (to - from)
      const [from, to] = [before.seconds, point.seconds]
      const seconds = from === undefined || to === undefined ? null : between(from, to)
      return { samples: between(before.samplesSeen, point.samplesSeen), seconds }
    }
    before = point
  }
  return null
}

/**
 * What `plain` needs for `level` (0..1) of its gain over guessing, divided by what `reinforced` needs for the same score; 0
 * where `reinforced` never has it.
 *
 * Where plain training is never better than guessing, all it took is divided by what `reinforced` took until it was: a lower
 * bound. The ratio is 1 where neither learned anything. So ratios are always finite.
 */
export function efficiencyAt(
  level: number,
  plain: LearningCurve,
  reinforced: LearningCurve,
  guessing: number,
): CostRatio {
  const score = scoreAt(level, plain, guessing)
  if (score <= guessing) return lowerBound(plain.at(-1)!, reinforced, guessing)
  return ratioOf(costToReach(plain, score, guessing)!, costToReach(reinforced, score, guessing))
}

/** What plain training took until its end, divided by what `reinforced` needs for the same score; as in `efficiencyAt`. */
export function efficiencyAgainstEnd(plain: LearningCurve, reinforced: LearningCurve, guessing: number): CostRatio {
  const end = plain.at(-1)!
  if (end.average <= guessing) return lowerBound(end, reinforced, guessing)
  return ratioOf(costOf(end), costToReach(reinforced, end.average, guessing))
}

/** Share of the gain within which a curve counts as level, and the least share of a run that makes a plateau. */
const [levelGain, leastPlateau] = [0.05, 0.25] as const

/**
 * Samples from which on a curve is on a plateau: what follows is a quarter of the run or more, and adds 5 % to its gain at most.
 * Null where there is none, or nothing was learned.
 */
export function plateauStart(curve: LearningCurve, guessing: number): number | null {
  const score = scoreAt(1 - levelGain, curve, guessing)
  if (score <= guessing) return null
  const { samples } = costToReach(curve, score, guessing)!
  return samples <= (1 - leastPlateau) * curve.at(-1)!.samplesSeen ? samples : null
}

/** The score at a share of a curve's gain; never above its best, where rounding would make it so. */
export function scoreAt(level: number, curve: LearningCurve, guessing: number): number {
  const best = bestScore(curve)
  return Math.min(best, guessing + level * (best - guessing))
}

/** Curves may have more points than a call has arguments. */
export function bestScore(curve: LearningCurve): number {
  return curve.reduce((best, { average }) => Math.max(best, average), Number.NEGATIVE_INFINITY)
}

function costOf({ samplesSeen, seconds = null }: { readonly samplesSeen: number; readonly seconds?: number | null }) {
  return { samples: samplesSeen, seconds } satisfies Cost
}

function ratioOf(plain: Cost, reinforced: Cost | null): CostRatio {
  if (reinforced === null) return { samples: 0, seconds: plain.seconds === null ? null : 0 }
  const timed = plain.seconds !== null && reinforced.seconds !== null
  return {
    samples: plain.samples / reinforced.samples,
    seconds: timed ? plain.seconds / reinforced.seconds : null,
  }
}

function lowerBound(end: CurvePoint, reinforced: LearningCurve, guessing: number): CostRatio {
  const first = reinforced.find(({ average }) => average > guessing)
  return first ? ratioOf(costOf(end), costOf(first)) : { samples: 1, seconds: end.seconds === undefined ? null : 1 }
}

// ------------------------------------------------------------------------------------------------------- seeds

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

/** Ratios over the seeds. */
interface RatioSpread {
  readonly samples: Spread
  /** Null where a curve has no times. */
  readonly seconds: Spread | null
}

export interface EfficiencyAtLevel extends RatioSpread {
  /** Share of plain training's gain over guessing. */
  readonly level: number
  /** For how many seeds plain training is on its plateau there. */
  readonly onPlateau: number
}

/** Against plain runs whose learning rate ends at a share of the samples. */
export interface EfficiencyOfScheduled extends RatioSpread {
  /** Share of the samples of the other runs. */
  readonly share: number
  readonly samplesSeen: number
  /** Mean score of the plain runs at their end. */
  readonly average: number
}

export interface LearningEfficiency {
  /** By `gainLevels`. */
  readonly levels: readonly EfficiencyAtLevel[]
  /** By their share. */
  readonly scheduled: readonly EfficiencyOfScheduled[]
  /** For each seed the samples from which on plain training is on a plateau; null where there is none. */
  readonly plateaus: readonly (number | null)[]
  /** Set where plain training ended no better than guessing, in the mean over the seeds: its ratios mean nothing. */
  readonly noGain?: true
}

/** A curve for each seed, in the same order everywhere. */
interface ComparedCurves {
  readonly plain: readonly LearningCurve[]
  readonly reinforced: readonly LearningCurve[]
  /** Plain runs that were scheduled for a share of the samples; none by default. */
  readonly scheduled?: readonly { readonly share: number; readonly curves: readonly LearningCurve[] }[]
  /** The average accuracy of guessing. */
  readonly guessing: number
}

/** All measures of how much sooner reinforced training learns, each with its spread over the seeds. */
export function learningEfficiency(curves: ComparedCurves): LearningEfficiency {
  const { plain, reinforced, scheduled = [], guessing } = curves
  const plateaus = plain.map((curve) => plateauStart(curve, guessing))
  const end = plain.reduce((sum, curve) => sum + curve.at(-1)!.average, 0) / plain.length
  return {
    ...(end <= guessing && { noGain: true }),
    levels: gainLevels.map((level) => ({
      level,
      ...spreadOfRatios(plain.map((curve, i) => efficiencyAt(level, curve, reinforced[i]!, guessing))),
      onPlateau: level < 1 - levelGain ? 0 : plateaus.filter((start) => start !== null).length,
    })),
    scheduled: scheduled.map(({ share, curves: ends }) => ({
      share,
      samplesSeen: ends[0]!.at(-1)!.samplesSeen,
      average: ends.reduce((sum, curve) => sum + curve.at(-1)!.average, 0) / ends.length,
      ...spreadOfRatios(ends.map((curve, i) => efficiencyAgainstEnd(curve, reinforced[i]!, guessing))),
    })),
    plateaus,
  }
}

/** The measure for a claim in one figure. */
export function headlineOf({ levels }: Pick<LearningEfficiency, "levels">): EfficiencyAtLevel {
  return levels.find(({ level }) => level === headlineLevel)!
}

function spreadOfRatios(ratios: readonly CostRatio[]): RatioSpread {
  const seconds = ratios.map((ratio) => ratio.seconds).filter((value) => value !== null)
  return {
    samples: spreadOf(ratios.map(({ samples }) => samples)),
    seconds: seconds.length === ratios.length ? spreadOf(seconds) : null,
  }
}
