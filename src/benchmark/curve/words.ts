/** How much sooner one side learns, in the words of the terminal and the page. */
import { type EfficiencyAtLevel, headlineOf, type LearningEfficiency, type Spread } from "../../evaluate/efficiency.ts"
import { integer, percent } from "../../report/numbers.ts"
import { type CurveReport, meanBest, meanOf, type Side, type SideComparison } from "./compare-curves.ts"

/** "For 90 % of its gain over guessing, plain needs 2.8 times the samples of reinforced (2.5 to 3.1 over 3 seeds)" */
export function verdictText({ weaker, stronger, pairs, pairing, efficiency }: SideComparison): string {
  if (efficiency.noGain) return `${weaker} learned nothing beyond guessing, so there is no ratio to ${stronger}`
  const { level, samples } = headlineOf(efficiency)
  const gain = `${percent(level, 0)} of ${weaker}'s gain over guessing`
  if (samples.median === 0) return `${stronger} did not reach ${gain}`
  const spread =
    pairs > 1 ? ` (${lowToHigh(samples)} over ${pairs} ${pairing === "seeds" ? "seeds" : "pairs of runs"})` : ""
  return `For ${gain}, ${weaker} needs ${ratio(samples.median)} times the samples of ${stronger}${spread}`
}

/** What a single run, or a spread that holds 1, leaves open. */
export function caveatText({ pairs, efficiency, weaker, stronger }: SideComparison): string | null {
  if (efficiency.noGain) return null
  const { samples } = headlineOf(efficiency)
  if (pairs === 1) return "One run a side: how much of this is chance is not known. Train with other seeds."
  if (samples.low <= 1 && samples.high >= 1)
    return `Between seeds it goes both ways, so that it is not clear that ${stronger} learns sooner than ${weaker}.`
  return null
}

/** The title of the column of ratios over different pictures. */
export function uniqueTitle({ uniqueIsBound }: SideComparison): string {
  return uniqueIsBound ? "different pictures, at least" : "different pictures"
}

export interface LevelRow {
  readonly against: string
  readonly samples: string
  readonly seconds: string
  /** Empty where there are no runs on subsets. */
  readonly unique: string
  readonly isHeadline: boolean
}

/** How many times as much the weaker side takes, at levels of its gain, then to be as good as its runs of shorter schedules. */
export function levelRows({ weaker, pairs, efficiency, unique }: SideComparison): LevelRow[] {
  if (efficiency.noGain) return []
  const headline = headlineOf(efficiency)
  const cell = (spread: Spread | null | undefined, of: number) => (spread ? spreadText(spread, of) : "")
  const uniqueAt = (level: number) => (unique?.noGain ? undefined : unique?.levels.find((each) => each.level === level))
  return [
    ...efficiency.levels.map((each) => ({
      against: `${percent(each.level, 0)} of its gain${plateauOf(each, pairs)}`,
      samples: cell(each.samples, pairs),
      seconds: cell(each.seconds, pairs),
      unique: cell(uniqueAt(each.level)?.samples, unique?.plateaus.length ?? 0),
      isHeadline: each === headline,
    })),
    ...efficiency.scheduled.map((each) => ({
      against: `${weaker}, ${integer(each.samplesSeen)} samples and no more (${percent(each.average)})`,
      samples: cell(each.samples, pairs),
      seconds: cell(each.seconds, pairs),
      unique: "",
      isHeadline: false,
    })),
  ]
}

function plateauOf({ onPlateau }: EfficiencyAtLevel, pairs: number): string {
  if (onPlateau === 0) return ""
  return pairs > 1 ? `, on a plateau (${onPlateau} of ${pairs})` : ", on a plateau"
}

/** Where a side's curves are level, as a sentence. The ratio depends on the length of the weaker side's runs alone. */
export function plateauText({ name, runs }: Side, { isWeaker, noGain }: PlateauRole): string {
  if (noGain) return `${name} learned nothing beyond guessing: its runs are too short to compare.`
  const starts = runs.flatMap(({ plateau }) => (plateau === null ? [] : [plateau]))
  if (starts.length === 0) return `${name} is not on a plateau: it improves to its end.`
  const ends = [Math.min(...starts), Math.max(...starts)].map((start) => integer(Number(start.toPrecision(2))))
  const from = ends[0] === ends[1] ? ends[0] : ends.join(" to ")
  const many = runs.length > 1 ? ` (${starts.length} of ${runs.length} runs)` : ""
  return `${name} is on a plateau after about ${from} samples${many}: from there on it adds 5% to its gain at most${isWeaker ? ", and a longer run raises the ratio at 100%" : ""}.`
}

interface PlateauRole {
  /** Whether its gain is what the other side is to reach. */
  readonly isWeaker: boolean
  readonly noGain?: boolean | undefined
}

export interface SideRow {
  readonly name: string
  readonly runs: number
  readonly samples: string
  readonly unique: string
  readonly seconds: string
  readonly end: string
  readonly best: string
  readonly plateau: string
}

/** A row for each side, then for its runs on fewer pictures. */
export function sideRows({ sides }: CurveReport): SideRow[] {
  return sides.flatMap((side) => {
    const sizes = [...new Set(side.subsets.map(({ unique }) => unique!))].toSorted((a, b) => b - a)
    const subsets = sizes.map((size) => {
      const runs = side.subsets.filter(({ unique }) => unique === size)
      return sideRow({ name: `${side.name}, ${integer(size)} different`, runs })
    })
    return [sideRow(side), ...subsets]
  })
}

function sideRow({ name, runs }: Pick<Side, "name" | "runs">): SideRow {
  const ends = runs.map(({ curve }) => curve.at(-1)!)
  const seconds = ends.map((end) => end.seconds ?? 0)
  const starts = runs.flatMap(({ plateau }) => (plateau === null ? [] : [plateau]))
  return {
    ...{ name, runs: runs.length },
    samples: range(
      ends.map(({ samplesSeen }) => samplesSeen),
      integer,
    ),
    unique: runs.every(({ unique }) => unique !== null)
      ? range(
          runs.map(({ unique }) => unique!),
          integer,
        )
      : "not known",
    seconds: integer(meanOf(seconds)),
    end: range(
      ends.map(({ average }) => average),
      percent,
    ),
    best: percent(meanBest({ runs })),
    plateau: starts.length === 0 ? "none" : range(starts, (start) => integer(Number(start.toPrecision(2)))),
  }
}

/** "49.0%", or the ends of what differs. */
function range(values: readonly number[], text: (value: number) => string): string {
  const [low, high] = [text(Math.min(...values)), text(Math.max(...values))]
  return low === high ? low : `${low} to ${high}`
}

export function spreadText(spread: Spread, of: number): string {
  if (spread.median === 0) return "not reached"
  return of > 1 ? `${ratio(spread.median)} (${lowToHigh(spread)})` : ratio(spread.median)
}

function lowToHigh({ low, high }: Spread): string {
  return `${ratio(low)} to ${ratio(high)}`
}

/** Below 10 with a digit after the point, as a ratio of few runs is not known better. */
export function ratio(value: number): string {
  return value >= 10 ? value.toFixed(0) : value.toFixed(1)
}

/** "2.8x", or what there is in its place. */
export function ratioFigure(efficiency: LearningEfficiency, what: "samples" | "seconds"): string {
  if (efficiency.noGain) return "not measured"
  const spread = headlineOf(efficiency)[what]
  if (spread === null) return "not measured"
  return spread.median === 0 ? "not reached" : `${ratio(spread.median)}x`
}
