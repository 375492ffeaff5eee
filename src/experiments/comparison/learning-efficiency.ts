/**
 * How much sooner the reinforced student learns, in the words of pages and of the terminal. The claim in one figure is made at
 * 90 % of plain training's gain over guessing, in samples and in seconds; a ratio is 0 where reinforced training never had it.
 */
import {
  type EfficiencyAtLevel,
  type EfficiencyOfScheduled,
  headlineLevel,
  headlineOf,
  type LearningCurve,
  type LearningEfficiency,
  type Spread,
} from "../../evaluate/efficiency.ts"
import { type Curve, wideFigure } from "../../report/chart.ts"
import { type Html, html } from "../../report/html.ts"
import { integer, type PercentText, percent } from "../../report/numbers.ts"
import type { StepTimes } from "./step-time.ts"
import type { StudentResults } from "./students.ts"

/** A clause about the ratio, and its spread over several seeds. */
export function efficiencyText(efficiency: LearningEfficiency, inPercent: PercentText = percent): string {
  if (efficiency.noGain) return "plain training learned nothing beyond guessing, so there is no ratio"
  const { level, samples, seconds } = headlineOf(efficiency)
  const seeds = efficiency.plateaus.length
  const spread = seeds > 1 ? ` (${lowToHigh(samples)} over ${seeds} seeds)` : ""
  const gain = `${inPercent(level, 0)} of plain training's gain over guessing`
  if (samples.median === 0) return `reinforced training did not reach ${gain}${spread}`
  const times = seconds === null ? "" : `, and ${ratio(seconds)} times the seconds`
  return `for ${gain}, plain training needs ${ratio(samples)} times the samples of reinforced training${spread}${times}`
}

/** The names of the headline's ratios. */
export const headlineNames = {
  samples: `plain: samples at ${percent(headlineLevel, 0)} of its gain`,
  seconds: `plain: seconds at ${percent(headlineLevel, 0)} of its gain`,
} as const

/** "2.8x", or "not reached". */
export function efficiencyFigure(spread: Spread | null): string {
  if (spread === null) return "not measured"
  return spread.median === 0 ? "not reached" : `${ratio(spread)}x`
}

/** The title of a page: the scores at the ends, the better one first. `otherwise` is the title where they hardly differ. */
export function comparisonTitle(
  { plain, reinforced }: Pick<StudentResults, "plain" | "reinforced">,
  otherwise: string,
): string {
  const [without, withIt] = [endOf(plain), endOf(reinforced)]
  if (Math.abs(withIt - without) < clearDifference) return otherwise
  return withIt > without
    ? `${percent(withIt)} accuracy with reinforcement, ${percent(without)} without`
    : `${percent(without)} accuracy without reinforcement, ${percent(withIt)} with it`
}

/** Below one point of accuracy a title claims nothing. */
const clearDifference = 0.01

/** What the ratio leaves out: others learned before, from better captions. */
export function teachersText(precise: number, origin: string): string {
  return `The teachers and the captioner were trained on ${integer(precise)} other pictures (${origin}) with precise captions; the plain student learned nothing from these.`
}

/** Both ratios of a reinforced step, because one alone misleads. */
export function stepTimeText({ overPlain, overBothCaptions }: StepTimes): string {
  return `a reinforced step takes ${overPlain.toFixed(2)} times as long as the plain student's, which reads one caption of each picture, and ${overBothCaptions.toFixed(2)} times as long as a contrastive step that reads both`
}

/** Where plain training is on a plateau, as a sentence. */
export function plateauText({ plateaus, noGain }: LearningEfficiency, inPercent: PercentText = percent): string {
  if (noGain) return "Plain training learned nothing beyond guessing: the run is too short to compare."
  const starts = plateaus.filter((start) => start !== null)
  if (starts.length === 0) return "Plain training is not on a plateau: it improves to its end."
  const seeds = plateaus.length > 1 ? ` (${starts.length} of ${plateaus.length} seeds)` : ""
  const from = [Math.min(...starts), Math.max(...starts)].map((start) => integer(Math.round(start / 100) * 100))
  const first = from[0] === from[1] ? from[0] : `${from.join(" to ")}`
  return `Plain training is on a plateau, which begins at about ${first} samples${seeds}: there it adds ${inPercent(0.05, 0)} to its gain at most, and the ratio grows with the length of its run.`
}

interface EfficiencyRow {
  /** What the reinforced student has to be as good as. */
  readonly against: string
  readonly samples: string
  readonly seconds: string
  readonly isHeadline: boolean
}

/** Every measure of the ratio: at levels of the gain, then against runs scheduled for fewer samples. */
export function efficiencyRows(
  { levels, scheduled, plateaus, noGain }: LearningEfficiency,
  inPercent: PercentText = percent,
): EfficiencyRow[] {
  if (noGain) return []
  const seeds = plateaus.length
  const headline = headlineOf({ levels })
  const row = (
    against: string,
    { samples, seconds }: EfficiencyAtLevel | EfficiencyOfScheduled,
    isHeadline = false,
  ) => ({
    ...{ against, isHeadline },
    samples: spreadText(samples, seeds),
    seconds: seconds === null ? "" : spreadText(seconds, seeds),
  })
  const plateau = (onPlateau: number) => {
    if (onPlateau === 0) return ""
    return seeds > 1 ? `, on a plateau (${onPlateau} of ${seeds})` : ", on a plateau"
  }
  return [
    ...levels.map((each) =>
      row(`${inPercent(each.level, 0)} of its gain${plateau(each.onPlateau)}`, each, each === headline),
    ),
    ...scheduled.map((each) => row(`a run of ${integer(each.samplesSeen)} samples (${inPercent(each.average)})`, each)),
  ]
}

/** The rows of `efficiencyRows` with what they mean. */
export function efficiencySection(efficiency: LearningEfficiency): Html {
  const cells = ({ against, samples, seconds }: EfficiencyRow) =>
    html`${against}</th><td>${samples}</td><td>${seconds}</td>`
  const row = (each: EfficiencyRow) =>
    each.isHeadline
      ? html`<tr class="headline"><th scope="row">${cells(each)}</tr>`
      : html`<tr><th scope="row">${cells(each)}</tr>`
  const runs = html` The last rows compare with plain runs whose learning rate ends after so many samples, while the reinforced student's is still high.`
  return html`
  <h3>How many times as much plain training takes</h3>
  <p>${plateauText(efficiency)}${efficiency.scheduled.length > 0 ? runs : null} Seconds are those of the training steps; the teachers' training and the making of the reinforced set are not among them.</p>
  <table class="plain">
    <thead><tr><th>to be as good as plain training at</th><th>samples</th><th>seconds</th></tr></thead>
    <tbody>${efficiencyRows(efficiency).map(row)}</tbody>
  </table>`
}

function spreadText(spread: Spread, seeds: number): string {
  if (spread.median === 0) return "not reached"
  return seeds > 1 ? `${ratio(spread)} (${lowToHigh(spread)})` : ratio(spread)
}

function lowToHigh({ low, high }: Spread): string {
  return `${low.toFixed(1)} to ${high.toFixed(1)}`
}

function ratio({ median }: Spread): string {
  return median.toFixed(1)
}

// ----------------------------------------------------------------------------------------------------- figures

/** A figure of accuracy over samples, plain and reinforced, as means over the seeds. */
export function accuracyFigure({ plain, reinforced }: Pick<StudentResults, "plain" | "reinforced">): Promise<Html> {
  return wideFigure([meanCurve("plain", plain), meanCurve("reinforced", reinforced)], {
    label: "Mean accuracy over samples seen",
    xTitle: "samples seen",
    format: ".0%",
    marked: true,
  })
}

function meanCurve(name: string, curves: readonly LearningCurve[]): Curve {
  const points = curves[0]!.map(({ samplesSeen }, i) => ({ x: samplesSeen, y: meanAt(curves, i) }))
  return { name, points }
}

/** Mean over the seeds of the average at point `index`. */
export function meanAt(curves: readonly LearningCurve[], index: number): number {
  return curves.reduce((sum, curve) => sum + curve[index]!.average, 0) / curves.length
}

/** Mean over the seeds of the average at the end. */
export function endOf(curves: readonly LearningCurve[]): number {
  return meanAt(curves, curves[0]!.length - 1)
}
