/** The page of learning curves: one HTML file that loads nothing. */
import type { LearningCurve } from "../../evaluate/efficiency.ts"
import { headlineOf, spreadOf } from "../../evaluate/efficiency.ts"
import { writeAtomically } from "../../host/files/files.ts"
import { type Curve, type FigureOptions, wideFigure } from "../../report/chart.ts"
import { htmlDocument } from "../../report/document.ts"
import { type Html, html } from "../../report/html.ts"
import { integer, percent } from "../../report/numbers.ts"
import { figureList, type Term } from "../../report/terms.ts"
import { type CurveReport, curvesOverUnique, meanOf, type Side, type SideComparison } from "./compare-curves.ts"
import {
  caveatText,
  levelRows,
  plateauText,
  ratioFigure,
  type SideRow,
  sideRows,
  uniqueTitle,
  verdictText,
} from "./words.ts"

/** The folder of `path` must exist. */
export async function writeCurvePage(path: string, report: CurveReport): Promise<void> {
  await writeAtomically(path, [await curvePage(report)])
}

/** A whole HTML document. */
export async function curvePage(report: CurveReport): Promise<string> {
  const body = html`${headline(report)}
${await curvesSection(report)}
${report.comparisons.map((comparison) => ratiosSection(comparison, report))}
${await uniqueSection(report)}
${sidesSection(report)}
${notesSection(report)}`
  return htmlDocument("Learning curves", body, ownStyle)
}

const ownStyle = `
ul { margin: 6px 0 14px; padding-left: 20px; max-width: 72ch; color: var(--soft); }
summary { cursor: pointer; color: var(--soft); }
details p { margin-top: 8px; overflow-wrap: anywhere; }
.plain td { white-space: nowrap; }
`

function headline({ comparisons, sides, tasks, guessing }: CurveReport): Html {
  const [first] = comparisons
  const title = first ? verdictText(first) : `${sides[0]!.name}: ${percent(endOf(sides[0]!))} at its end`
  const text = tasks.length > 1 ? `the mean over ${tasks.length} tasks (${tasks.join(", ")})` : tasks[0]!
  return html`
<header>
  <p class="eyebrow">mobileclip evaluate curve</p>
  <h1>${title}</h1>
  <p class="lede">By the runs' evaluations along the way: ${text}, where guessing gives ${percent(guessing)}.${first && caveatText(first) ? ` ${caveatText(first)}` : ""}</p>
  ${figureList(figuresOf(sides, first))}
</header>`
}

function figuresOf(sides: readonly Side[], comparison: SideComparison | undefined): Term[] {
  const ends = sides.slice(0, 4).map((side): Term => [`${side.name} at its end`, percent(endOf(side))])
  if (!comparison) return ends
  const { weaker, efficiency } = comparison
  const level = percent(headlineOf(efficiency).level, 0)
  return [
    ...ends,
    [`${weaker}: samples at ${level} of its gain`, ratioFigure(efficiency, "samples")],
    [`${weaker}: seconds at ${level} of its gain`, ratioFigure(efficiency, "seconds")],
  ]
}

function endOf({ runs }: Side): number {
  return meanOf(runs.map(({ curve }) => curve.at(-1)!.average))
}

// ------------------------------------------------------------------------------------------------------ curves

const look = { format: ".0%", marked: true } as const

async function curvesSection({ sides, guessing, comparisons }: CurveReport): Promise<Html> {
  const weaker = sides.find(({ name }) => name === comparisons[0]?.weaker)
  const plateau = weaker ? plateausOf(weaker) : []
  const several = sides.some(({ runs }) => runs.length > 1)
  const start = { x: 0, y: guessing }
  const figure = (x: (point: LearningCurve[number]) => number, xTitle: string, rules: readonly number[] = []) =>
    wideFigure(
      sides.slice(0, 5).map((side) => ({ name: side.name, points: [start, ...meanCurve(side, x)] })),
      { ...look, xTitle, rules, caption: `over ${xTitle}`, label: `Accuracy over ${xTitle}` },
    )
  return html`
<section>
  <h2>Accuracy along the way</h2>
  <p>${several ? "Each curve is the mean over a side's runs, as far as all of them go." : "A run for each curve."} Seconds are those of the training steps, without evaluation and without what teachers took.${plateau.length > 0 ? ` Dashed: where the plateau of ${weaker!.name} begins.` : ""}</p>
  <div class="charts">${await figure(({ samplesSeen }) => samplesSeen, "samples seen", plateau)}
  ${await figure(({ seconds }) => seconds ?? Number.NaN, "seconds of training")}</div>
</section>`
}

/** The median over its runs, where most of them have one. */
function plateausOf({ runs }: Side): number[] {
  const starts = runs.flatMap(({ plateau }) => (plateau === null ? [] : [plateau]))
  return 2 * starts.length > runs.length ? [spreadOf(starts).median] : []
}

/** Point by point; runs that were evaluated at other samples than the first one are drawn as far as they agree. */
function meanCurve({ runs }: Side, x: (point: LearningCurve[number]) => number): Curve["points"] {
  // The first of equal ones is kept.
  const bySamples = runs.map(({ curve }) => new Map(curve.toReversed().map((point) => [point.samplesSeen, point])))
  return runs[0]!.curve.flatMap(({ samplesSeen }) => {
    const points = bySamples.map((points) => points.get(samplesSeen))
    if (!points.every((point) => point !== undefined)) return []
    return [{ x: meanOf(points.map(x)), y: meanOf(points.map(({ average }) => average)) }]
  })
}

// ------------------------------------------------------------------------------------------------------ ratios

function ratiosSection(comparison: SideComparison, { sides }: CurveReport): Html {
  const { weaker, stronger, efficiency, unique } = comparison
  const side = (name: string) => sides.find((each) => each.name === name)!
  const rows = levelRows(comparison).map((row) => {
    const cells = html`<th scope="row">${row.against}</th><td>${row.samples}</td><td>${row.seconds}</td>${unique ? html`<td>${row.unique}</td>` : null}`
    return row.isHeadline ? html`<tr class="headline">${cells}</tr>` : html`<tr>${cells}</tr>`
  })
  const scheduled =
    efficiency.scheduled.length > 0
      ? ` The last rows compare with runs of ${weaker} whose learning rate ends after so many samples, while that of ${stronger} is still high.`
      : ""
  return html`
<section>
  <h2>How many times as much ${weaker} takes</h2>
  <p>${verdictText(comparison)}. ${caveatText(comparison) ?? ""}</p>
  <p>${plateauText(side(weaker), { isWeaker: true, noGain: efficiency.noGain })} ${plateauText(side(stronger), { isWeaker: false })}${scheduled}</p>
  ${
    rows.length > 0
      ? html`<div class="scroll"><table class="plain">
    <thead><tr><th>to be as good as ${weaker} at</th><th>samples</th><th>seconds</th>${unique ? html`<th>${uniqueTitle(comparison)}</th>` : null}</tr></thead>
    <tbody>${rows}</tbody>
  </table></div>`
      : null
  }
</section>`
}

async function uniqueSection({ sides }: CurveReport): Promise<Html> {
  const curves = sides.flatMap((side) => {
    const own = curvesOverUnique(side)
    if (own.length === 0) return []
    const points = own[0]!.map(({ samplesSeen }, i) => ({
      x: samplesSeen,
      y: meanOf(own.map((curve) => curve[i]!.average)),
    }))
    return [{ name: side.name, points }]
  })
  if (curves.length === 0) return html``
  const options: FigureOptions = {
    ...{ ...look, logarithmic: true, xTitle: "different pictures" },
    label: "Accuracy at the end over the number of different pictures",
  }
  return html`
<section>
  <h2>Accuracy over different pictures</h2>
  <p>Scores at the end of runs on subsets, the means over seeds. With fewer pictures each is seen more often.</p>
  ${await wideFigure(curves, options)}
</section>`
}

// ------------------------------------------------------------------------------------------------------- sides

function sidesSection(report: CurveReport): Html {
  const row = ({ name, runs, samples, unique, seconds, end, best, plateau }: SideRow) => html`
<tr><th scope="row">${name}</th>${[integer(runs), samples, unique, seconds, end, best, plateau].map((cell) => html`<td>${cell}</td>`)}</tr>`
  return html`
<section>
  <h2>Runs</h2>
  <div class="scroll"><table class="plain">
    <thead><tr><th></th>${["runs", "samples", "different", "seconds", "at the end", "best", "plateau from"].map((title) => html`<th>${title}</th>`)}</tr></thead>
    <tbody>${sideRows(report).map(row)}</tbody>
  </table></div>
</section>`
}

function notesSection({ notes, sides }: CurveReport): Html {
  const folders = sides.flatMap(({ runs, subsets, scheduled }) => [...runs, ...subsets, ...scheduled])
  return html`
<section>
  <h2>How this was made</h2>
  <ul>
    ${notes.map((note) => html`<li>${note[0]!.toUpperCase()}${note.slice(1)}.</li>`)}
    <li>A curve begins at the accuracy of guessing and is straight between evaluations, so few evaluations make a rough ratio.</li>
    <li>At its best score a run is often on a plateau, where a longer run raises the ratio; so the claim is made at 90%.</li>
    <li>A spread is the median with the lowest and the highest.</li>
  </ul>
  <details><summary>${integer(folders.length)} runs</summary><p>${folders.map(({ folder }) => folder).join(", ")}</p></details>
</section>`
}
