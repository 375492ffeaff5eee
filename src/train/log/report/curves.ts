/** The curves of a run: the parts of the loss, learning rate and gradients, zero-shot accuracy along the way, throughput. */
import { type Curve, type FigureOptions, smallFigure, wideFigure } from "../../../report/chart.ts"
import { type Html, html } from "../../../report/html.ts"
import { integer, percent } from "../../../report/numbers.ts"
import { type EvaluationEntry, type StepEntry, totalLoss } from "../entries.ts"

export interface ChartSection {
  readonly title: string
  readonly text: string
  readonly charts: readonly Html[]
}

/** The sections with curves over the steps; none where there is no step. */
export async function curveSections(steps: readonly StepEntry[]): Promise<ChartSection[]> {
  if (steps.length === 0) return []
  return [await lossSection(steps), await throughputSection(steps)]
}

async function lossSection(steps: readonly StepEntry[]): Promise<ChartSection> {
  const names = countedLosses(steps)
  const curves = lossCurves(steps, names)
  const label = `Loss over the steps, ending at ${totalLoss(steps.at(-1)!).toFixed(3)}`
  return {
    title: "How it learned",
    text: `The loss over the steps; thin: single steps, bold: their moving average.${partsText(steps, names)}${resumedText(steps)}`,
    charts: [
      await wideFigure(curves, { caption: captionOf(names), label, xTitle: "step", ...lossLook(steps) }),
      await small(steps, ({ learningRate }) => learningRate, "learning rate"),
      await small(steps, ({ logitScale }) => logitScale, "logit scale (1 / temperature)", { zero: false }),
      await small(steps, ({ gradNorm }) => gradNorm, "norm of the gradients, before clipping", { smoothed: true }),
    ],
  }
}

function lossLook(steps: readonly StepEntry[]) {
  return { smoothed: true, zero: false, rules: resumedSteps(steps) }
}

/** A single term has the whole figure, and its name. */
function captionOf(names: readonly string[]): string {
  return names.length === 1 ? `loss (${names[0]})` : "loss"
}

/** The terms that count: one with a weight of 0 is 0 throughout, and would hide what it is drawn over. */
function countedLosses(steps: readonly StepEntry[]): string[] {
  const names = Object.keys(steps.at(-1)!.losses)
  const counted = names.filter((name) => steps.some(({ losses }) => losses[name] !== 0))
  return counted.length > 0 ? counted : names
}

/** The sum, followed by its parts where there are several. */
function lossCurves(steps: readonly StepEntry[], names: readonly string[]): Curve[] {
  const sum = stepCurve(steps, totalLoss, "loss")
  if (names.length < 2) return [sum]
  return [sum, ...names.map((name) => stepCurve(steps, ({ losses }) => losses[name] ?? Number.NaN, name))]
}

function partsText(steps: readonly StepEntry[], names: readonly string[]): string {
  const without = Object.keys(steps.at(-1)!.losses).filter((name) => !names.includes(name))
  const parts = names.length > 1 ? ` Its parts: ${names.join(", ")}.` : ""
  return without.length > 0 ? `${parts} The term ${without.join(", ")} has weight 0, and is not drawn.` : parts
}

/** The last steps before the run went on. */
function resumedSteps(steps: readonly StepEntry[]): number[] {
  return steps.flatMap(({ step, isResumed }) => (isResumed ? [step - 1] : []))
}

/** The same in pairs seen. */
export function resumedPairs(steps: readonly StepEntry[]): number[] {
  return steps.flatMap(({ step, samplesSeen, isResumed }) => (isResumed ? [(samplesSeen / step) * (step - 1)] : []))
}

function resumedText(steps: readonly StepEntry[]): string {
  const at = resumedSteps(steps)
  if (at.length === 0) return ""
  const shown = at.slice(-5).map(integer).join(", ")
  return ` Dashed: where it was stopped and went on, after step ${at.length > 5 ? "... " : ""}${shown}.`
}

async function throughputSection(steps: readonly StepEntry[]): Promise<ChartSection> {
  const { step, samplesSeen } = steps.at(-1)!
  const batch = samplesSeen / step
  const wait = ({ seconds, dataSeconds }: StepEntry) => (100 * dataSeconds) / seconds
  return {
    title: "How fast",
    text: "Pairs a second with everything that a step does, and the share of a step that waits for its batch.",
    charts: [
      await small(steps, ({ seconds }) => batch / seconds, "pairs a second", { smoothed: true, format: ",.3~r" }),
      await small(steps, wait, "waiting for data, % of the step", { smoothed: true }),
    ],
  }
}

/** A curve of a quantity over the steps of a run. */
export function stepCurve(steps: readonly StepEntry[], value: (step: StepEntry) => number, name?: string): Curve {
  return { ...(name !== undefined && { name }), points: steps.map((entry) => ({ x: entry.step, y: value(entry) })) }
}

type Look = Omit<FigureOptions, "caption" | "label" | "xTitle">

function small(steps: readonly StepEntry[], value: (step: StepEntry) => number, caption: string, look: Look = {}) {
  const rules = resumedSteps(steps)
  const label = `${caption} over the run`
  return smallFigure([stepCurve(steps, value)], { caption, label, xTitle: "step", rules, ...look })
}

/**
 * The last figures as a table, then a curve for each task and their average. Empty where nothing was evaluated.
 * @param rules pairs seen where the run went on
 */
export async function zeroShotSection(
  evaluations: readonly EvaluationEntry[],
  chance: Readonly<Record<string, number>>,
  rules: readonly number[] = [],
): Promise<Html> {
  const last = evaluations.at(-1)
  if (!last) return html``
  const names = Object.keys(last.tasks)
  const hasBest = evaluations.length > 1
  const best = (value: (entry: EvaluationEntry) => number) => Math.max(...evaluations.map(value))
  return html`
<section>
  <h2>Zero-shot accuracy</h2>
  <p>The main metric of each task on pictures that are held out, after ${integer(last.samplesSeen)} pairs. The upright mark is guessing.</p>
  <table class="bars">
    <thead><tr><th>task</th><th></th><th>last</th>${hasBest ? html`<th>best</th>` : null}<th>guessing</th></tr></thead>
    <tbody>${names.map((name) => taskRow(name, evaluations, chance[name]))}</tbody>
    ${names.length > 1 ? html`<tfoot><tr><th scope="row">mean</th><td></td><td>${percent(last.average)}</td>${hasBest ? html`<td>${percent(best(({ average }) => average))}</td>` : null}<td></td></tr></tfoot>` : null}
  </table>
  ${hasBest ? html`<div class="charts">${await zeroShotCharts(evaluations, names, rules)}</div>` : null}
</section>`
}

async function zeroShotCharts(
  evaluations: readonly EvaluationEntry[],
  names: readonly string[],
  rules: readonly number[],
): Promise<Html[]> {
  const points = (value: (entry: EvaluationEntry) => number) =>
    evaluations.map((entry) => ({ x: entry.samplesSeen, y: 100 * value(entry) }))
  const average = { name: "mean", points: points((entry) => entry.average) }
  const tasks = names.map((name) => ({ name, points: points(({ tasks }) => tasks[name] ?? Number.NaN) }))
  // More curves than colours cannot be told apart: then each task has a figure of its own.
  const together = tasks.length === 1 || tasks.length > 4 ? [average] : [average, ...tasks]
  const end = (100 * evaluations.at(-1)!.average).toFixed(1)
  const label = `Zero-shot mean over ${evaluations.length} evaluations, ending at ${end} %`
  const look = { marked: true, xTitle: "pairs seen", rules }
  const alone = tasks.length > 4 ? tasks : []
  return [
    await wideFigure(together, { caption: "%", label, ...look }),
    ...(await Promise.all(
      alone.map(({ name, points }) =>
        smallFigure([{ points }], { caption: `${name}, %`, label: `${name}, % over the run`, ...look }),
      ),
    )),
  ]
}

function taskRow(name: string, evaluations: readonly EvaluationEntry[], chance: number | undefined): Html {
  const values = evaluations.flatMap(({ tasks }) => tasks[name] ?? [])
  const last = values.at(-1)!
  const mark = chance === undefined ? null : html`<s style="left:${percent(chance)}"></s>`
  return html`
<tr>
  <th scope="row">${name}</th>
  <td class="bar"><div><i style="width:${percent(last)}"></i>${mark}</div></td>
  <td><b>${percent(last)}</b></td>${evaluations.length > 1 ? html`<td>${percent(Math.max(...values))}</td>` : null}<td>${chance === undefined ? "" : percent(chance)}</td>
</tr>`
}
