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
  const curves = lossCurves(steps)
  const names =
    curves.length > 1
      ? ` Its parts: ${curves
          .slice(1)
          .map(({ name }) => name)
          .join(", ")}.`
      : ""
  const look = { smoothed: true, zero: false }
  const label = `Loss over the steps, ending at ${totalLoss(steps.at(-1)!).toFixed(3)}`
  return {
    title: "How it learned",
    text: `The loss over the steps; thin: single steps, bold: their moving average.${names}`,
    charts: [
      await wideFigure(curves, { caption: "loss", label, xTitle: "step", ...look }),
      await small(steps, ({ learningRate }) => learningRate, "learning rate"),
      await small(steps, ({ logitScale }) => logitScale, "logit scale (1 / temperature)", { zero: false }),
      await small(steps, ({ gradNorm }) => gradNorm, "norm of the gradients, before clipping", { smoothed: true }),
    ],
  }
}

/** The sum, followed by its parts where there are several. */
function lossCurves(steps: readonly StepEntry[]): Curve[] {
  const names = Object.keys(steps.at(-1)!.losses)
  const sum = stepCurve(steps, totalLoss, "loss")
  if (names.length < 2) return [sum]
  return [sum, ...names.map((name) => stepCurve(steps, ({ losses }) => losses[name] ?? Number.NaN, name))]
}

async function throughputSection(steps: readonly StepEntry[]): Promise<ChartSection> {
  const { step, samplesSeen } = steps.at(-1)!
  const batch = samplesSeen / step
  const wait = ({ seconds, dataSeconds }: StepEntry) => (100 * dataSeconds) / seconds
  return {
    title: "How fast",
    text: "Pairs a second with everything that a step does, and the share of a step that waits for its batch.",
    charts: [
      await small(steps, ({ seconds }) => batch / seconds, "pairs a second", { smoothed: true, format: "," }),
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
  return smallFigure([stepCurve(steps, value)], { caption, label: `${caption} over the run`, xTitle: "step", ...look })
}

/** A curve per task and their average; the last figures as a table. */
export async function zeroShotSection(
  evaluations: readonly EvaluationEntry[],
  chance: Readonly<Record<string, number>>,
): Promise<Html> {
  const last = evaluations.at(-1)
  if (!last) return html``
  const names = Object.keys(last.tasks)
  const points = (value: (entry: EvaluationEntry) => number) =>
    evaluations.map((entry) => ({ x: entry.samplesSeen, y: 100 * value(entry) }))
  const average = { name: "average", points: points((entry) => entry.average) }
  const tasks = names.map((name) => ({ name, points: points(({ tasks }) => tasks[name] ?? Number.NaN) }))
  // More curves than colours cannot be told apart: then each task has a figure of its own.
  const together = tasks.length <= 4 ? [average, ...tasks] : [average]
  const label = `Zero-shot average over ${evaluations.length} evaluations, ending at ${(100 * last.average).toFixed(1)} %`
  const look = { marked: true, xTitle: "pairs seen" }
  const alone = tasks.length > 4 ? tasks : []
  const charts = [
    await wideFigure(together.length === 2 ? [average] : together, { caption: "%", label, ...look }),
    ...(await Promise.all(
      alone.map(({ name, points }) =>
        smallFigure([{ points }], { caption: `${name}, %`, label: `${name}, % over the run`, ...look }),
      ),
    )),
  ]
  return html`
<section>
  <h2>Zero-shot along the way</h2>
  <p>Main metric of each task, in percent, over the pairs seen.</p>
  <div class="charts">${charts}</div>
  <table class="bars">
    <thead><tr><th>after ${integer(last.samplesSeen)} pairs</th><th></th><th></th><th>best</th></tr></thead>
    <tbody>${names.map((name) => taskRow(name, evaluations, chance[name]))}</tbody>
    <tfoot><tr><th scope="row">average</th><td></td><td>${percent(last.average)}</td><td>${percent(Math.max(...evaluations.map(({ average }) => average)))}</td></tr></tfoot>
  </table>
</section>`
}

function taskRow(name: string, evaluations: readonly EvaluationEntry[], chance: number | undefined): Html {
  const values = evaluations.flatMap(({ tasks }) => tasks[name] ?? [])
  const last = values.at(-1)!
  const mark = chance === undefined ? null : html`<s style="left:${percent(chance)}"></s>`
  return html`
<tr>
  <th scope="row">${name}</th>
  <td class="bar"><div><i style="width:${percent(last)}"></i>${mark}</div></td>
  <td><b>${percent(last)}</b></td><td>${percent(Math.max(...values))}</td>
</tr>`
}
