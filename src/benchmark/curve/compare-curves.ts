/**
 * Learning curves of several ways of training, each with a run or more, and how many times as much one needs to be as good as
 * another: at shares of the weaker side's gain over guessing, in samples, seconds and different samples.
 */
import { UserError } from "../../core/errors.ts"
import {
  bestScore,
  headlineLevel,
  type LearningCurve,
  type LearningEfficiency,
  learningEfficiency,
  plateauStart,
  scoreAt,
} from "../../evaluate/efficiency.ts"
import { type CurveRun, openCurveRuns } from "./curve-run.ts"
import { guessingOf } from "./guessing.ts"

export interface CurveOptions {
  /** Runs, or folders that hold them. */
  readonly runs: readonly string[]
  /** What the others are compared with, as one side; none: the side called plain, else the first. */
  readonly baseline?: readonly string[]
  /** The average accuracy of guessing, 0 to 1; else it is found from the runs. */
  readonly guessing?: number
}

interface SideRun extends Omit<CurveRun, "curve"> {
  readonly curve: LearningCurve
  /** Samples from which on the curve is on a plateau; null: it is on none. */
  readonly plateau: number | null
}

/** One way of training. */
export interface Side {
  readonly name: string
  /** Those of all its pictures, with a whole schedule, by seed. */
  readonly runs: readonly SideRun[]
  /** Those whose schedule ends sooner. */
  readonly scheduled: readonly SideRun[]
  /** Those on fewer different pictures. */
  readonly subsets: readonly SideRun[]
}

export interface SideComparison {
  /** The side that takes more, and the other: by their best scores. */
  readonly weaker: string
  readonly stronger: string
  /** Pairs of runs that the spread is over: seeds, or each run with each where the seeds differ. */
  readonly pairs: number
  readonly pairing: "seeds" | "all"
  readonly efficiency: LearningEfficiency
  /** The same over different pictures, at the end of runs on subsets; null where a side has none. */
  readonly unique: LearningEfficiency | null
  /** The stronger side's fewest pictures were enough at the headline's level: fewer were not tried, so ratios are lower bounds. */
  readonly uniqueIsBound: boolean
}

export interface CurveReport {
  readonly baseline: string
  readonly guessing: number
  /** What is averaged: the tasks that all runs have. */
  readonly tasks: readonly string[]
  readonly sides: readonly Side[]
  readonly comparisons: readonly SideComparison[]
  readonly notes: readonly string[]
}

/** @throws UserError where a folder has no run, runs have no task in common, or nothing says what guessing gives */
export async function compareCurves({
  runs: paths,
  baseline = [],
  guessing: given,
}: CurveOptions): Promise<CurveReport> {
  const others = await openCurveRuns(paths.length > 0 ? paths : baseline)
  const base = baseline.length > 0 ? await openCurveRuns(baseline) : []
  const isBase = new Set(base.map(({ folder }) => folder))
  const all = [...base, ...others.filter(({ folder }) => !isBase.has(folder))]
  const tasks = commonTasks(all)
  const guessing = given ?? (await guessingOf(all, tasks))
  const withPlateau = (run: CurveRun): SideRun => {
    const curve = averagedOver(tasks, run.curve)
    return { ...run, curve, plateau: plateauStart(curve, guessing) }
  }
  const sides = sidesOf(all.map(withPlateau), (run) => (isBase.has(run.folder) ? baselineName(base) : run.kind))
  const first = sides.find(({ name }) => name === (base.length > 0 ? baselineName(base) : "plain")) ?? sides[0]!
  const ordered = [first, ...sides.filter((side) => side !== first)]
  return {
    ...{ baseline: first.name, guessing, tasks, sides: ordered },
    comparisons: ordered.slice(1).map((side) => comparisonOf(first, side, guessing)),
    notes: notesOf(all, tasks, ordered),
  }
}

/** Runs of several kinds are one side where they were named as the baseline. */
function baselineName(runs: readonly CurveRun[]): string {
  const kinds = [...new Set(runs.map(({ kind }) => kind))]
  return kinds.length === 1 ? kinds[0]! : "baseline"
}

function commonTasks(runs: readonly CurveRun[]): string[] {
  const [first, ...others] = runs.flatMap(({ curve }) => curve.map(({ tasks }) => tasks))
  const common = Object.keys(first!).filter((name) => others.every((tasks) => Object.hasOwn(tasks, name)))
  if (common.length === 0)
    throw new UserError("the runs have no task in common, so their curves cannot be compared", "compare fewer runs")
  return common
}

function averagedOver(tasks: readonly string[], curve: LearningCurve): LearningCurve {
  return curve
    .map((point) => ({ ...point, average: tasks.reduce((sum, name) => sum + point.tasks[name]!, 0) / tasks.length }))
    .toSorted((a, b) => a.samplesSeen - b.samplesSeen)
}

function sidesOf(runs: readonly SideRun[], nameOf: (run: SideRun) => string): Side[] {
  const byName = new Map<string, SideRun[]>()
  for (const run of runs) byName.set(nameOf(run), [...(byName.get(nameOf(run)) ?? []), run])
  return [...byName].map(([name, own]) => {
    const whole = own.filter(({ ofSteps }) => ofSteps === null).toSorted(bySeed)
    // A side of short schedules alone is one like any other.
    const runs = whole.length > 0 ? whole : own
    const most = Math.max(...runs.map(({ unique }) => unique ?? 0))
    const hasWhole = runs.some((run) => !run.isSubset)
    const isSubset = (run: SideRun) => (hasWhole && run.isSubset) || (run.unique !== null && run.unique < most)
    return {
      name,
      runs: runs.filter((run) => !isSubset(run)),
      subsets: runs.filter(isSubset),
      scheduled: whole.length > 0 ? own.filter(({ ofSteps }) => ofSteps !== null).toSorted(bySeed) : [],
    }
  })
}

function bySeed(a: SideRun, b: SideRun): number {
  return (a.seed ?? 0) - (b.seed ?? 0)
}

// ------------------------------------------------------------------------------------------------- comparisons

function comparisonOf(base: Side, other: Side, guessing: number): SideComparison {
  const [weaker, stronger] = meanBest(base) <= meanBest(other) ? [base, other] : [other, base]
  const { pairs, pairing } = pairsOf(weaker.runs, stronger.runs)
  return {
    ...{ weaker: weaker.name, stronger: stronger.name, pairs: pairs.length, pairing },
    efficiency: learningEfficiency({
      plain: pairs.map(([run]) => run.curve),
      reinforced: pairs.map(([, run]) => run.curve),
      scheduled:
        pairing === "seeds"
          ? scheduledOf(
              weaker,
              pairs.map(([run]) => run),
            )
          : [],
      guessing,
    }),
    ...uniqueEfficiency(weaker, stronger, guessing),
  }
}

/** Mean over the runs of the best score. */
export function meanBest({ runs }: Pick<Side, "runs">): number {
  return meanOf(runs.map(({ curve }) => bestScore(curve)))
}

export function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** The same seeds of both; each with each where a seed has no partner, or is not known. */
function pairsOf(a: readonly SideRun[], b: readonly SideRun[]) {
  const partner = (run: SideRun) => b.find(({ seed }) => seed === run.seed)
  const seeds = new Set([...a, ...b].map(({ seed }) => seed))
  if (seeds.size === a.length && a.length === b.length)
    return { pairs: a.map((run) => [run, partner(run)!] as const), pairing: "seeds" as const }
  return { pairs: a.flatMap((run) => b.map((other) => [run, other] as const)), pairing: "all" as const }
}

/** The weaker side's runs that were scheduled for a share of the samples, where every seed has them; the whole run is the last. */
function scheduledOf({ scheduled }: Side, whole: readonly SideRun[]) {
  const lengths = [...new Set(scheduled.map(({ ofSteps }) => ofSteps!))].toSorted((a, b) => a - b)
  const ends = whole[0]!.curve.at(-1)!.samplesSeen
  const shorter = lengths.flatMap((steps) => {
    const runs = whole.map(({ seed }) => scheduled.find((run) => run.seed === seed && run.ofSteps === steps))
    const curves = runs.flatMap((run) => (run ? [run.curve] : []))
    return curves.length === whole.length ? [{ share: curves[0]!.at(-1)!.samplesSeen / ends, curves }] : []
  })
  return shorter.length > 0 ? [...shorter, { share: 1, curves: whole.map(({ curve }) => curve) }] : []
}

/**
 * With the score at the end over the number of different pictures in place of samples seen. The stronger side counts as needing
 * the fewest that were tried where these are enough: between none and these nothing was measured.
 */
function uniqueEfficiency(
  weaker: Side,
  stronger: Side,
  guessing: number,
): Pick<SideComparison, "unique" | "uniqueIsBound"> {
  const [plain, reinforced] = [weaker, stronger].map(curvesOverUnique) as [LearningCurve[], LearningCurve[]]
  const both = Math.min(plain.length, reinforced.length)
  if (both === 0) return { unique: null, uniqueIsBound: false }
  const pairs = plain.slice(0, both).map((curve, i) => [curve, reinforced[i]!] as const)
  const fromFewest = pairs.map(([, curve]) => [{ ...curve[0]!, average: guessing }, ...curve])
  return {
    unique: learningEfficiency({ plain: pairs.map(([curve]) => curve), reinforced: fromFewest, guessing }),
    uniqueIsBound: pairs.some(([curve, stronger]) => stronger[0]!.average >= scoreAt(headlineLevel, curve, guessing)),
  }
}

/** A curve for each seed that has runs on two numbers of pictures or more; `samplesSeen` is that number. */
export function curvesOverUnique({ runs, subsets }: Pick<Side, "runs" | "subsets">): LearningCurve[] {
  const all = [...subsets, ...runs].filter(({ unique }) => unique !== null)
  const sizes = new Set(all.map(({ unique }) => unique)).size
  return [...new Set(all.map(({ seed }) => seed))].flatMap((own) => {
    const points = all
      .filter(({ seed }) => seed === own)
      .map(({ unique, curve }) => ({ tasks: {}, average: curve.at(-1)!.average, samplesSeen: unique! }))
    return points.length === sizes && sizes > 1 ? [points.toSorted((a, b) => a.samplesSeen - b.samplesSeen)] : []
  })
}

function notesOf(runs: readonly CurveRun[], tasks: readonly string[], sides: readonly Side[]): string[] {
  const counts = runs.flatMap(({ curve }) => curve.map((point) => Object.keys(point.tasks).length))
  const most = counts.reduce((a, b) => Math.max(a, b), 0)
  const ends = new Set(sides.flatMap((side) => side.runs.map(({ curve }) => curve.at(-1)!.samplesSeen)))
  return [
    ...(tasks.length < most
      ? [
          `the average is over the ${tasks.length === 1 ? "one task" : `${tasks.length} tasks`} that all runs have, of ${most}`,
        ]
      : []),
    ...(sides.length === 1 ? ["there is one side only, so nothing is compared; name a second one"] : []),
    ...(ends.size > 1
      ? ["runs end after different numbers of samples: their last scores are not at equal samples"]
      : []),
  ]
}
