/** The curves of a run: loss by part, what steers the training, zero-shot along the way, throughput. */
import { type Curve, curvesChart } from "../../../report/chart.ts"
import { type Html, html } from "../../../report/html.ts"
import { type EvaluationEntry, type StepEntry, totalLoss } from "../entries.ts"
import { type Chart, chartFigure } from "./chart-figure.ts"

export interface ChartSection {
  readonly title: string
  readonly text: string
  readonly charts: readonly Chart[]
}

const SMALL = { width: 420, height: 150 } as const

/** Nothing where there is no step. */
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
  const last = `ending at ${totalLoss(steps.at(-1)!).toFixed(3)}`
  return {
    title: "How it learned",
    text: `The loss over the steps; thin: single steps, bold: their moving average.${names}`,
    charts: [
      ...(await bothWidths("loss", `Loss over the steps, ${last}`, curves, { smoothed: true, zero: false })),
      await small(
        "learning rate",
        curveOf(steps, ({ learningRate }) => learningRate),
      ),
      await small(
        "logit scale (1 / temperature)",
        curveOf(steps, ({ logitScale }) => logitScale),
        { zero: false },
      ),
      await small(
        "norm of the gradients, before clipping",
        curveOf(steps, ({ gradNorm }) => gradNorm),
        { smoothed: true },
      ),
    ],
  }
}

/** The sum, and behind it the parts, where there are several. */
function lossCurves(steps: readonly StepEntry[]): Curve[] {
  const names = Object.keys(steps.at(-1)!.losses)
  const sum = { name: "loss", ...curveOf(steps, totalLoss) }
  if (names.length < 2) return [sum]
  return [sum, ...names.map((name) => ({ name, ...curveOf(steps, ({ losses }) => losses[name] ?? Number.NaN) }))]
}

async function throughputSection(steps: readonly StepEntry[]): Promise<ChartSection> {
  const { step, samplesSeen } = steps.at(-1)!
  const batch = samplesSeen / step
  return {
    title: "How fast",
    text: "Pairs a second with everything that a step does, and the share of a step that waits for its batch.",
    charts: [
      await small(
        "pairs a second",
        curveOf(steps, ({ seconds }) => batch / seconds),
        { smoothed: true },
      ),
      await small(
        "waiting for data, % of the step",
        curveOf(steps, ({ seconds, dataSeconds }) => (100 * dataSeconds) / seconds),
        { smoothed: true },
      ),
    ],
  }
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
  // More curves than colours are one tangle: each task then has a drawing of its own.
  const together = tasks.length <= 4 ? [average, ...tasks] : [average]
  const label = `Zero-shot average over ${evaluations.length} evaluations, ending at ${(100 * last.average).toFixed(1)} %`
  const charts = [
    ...(await bothWidths("%", label, together.length === 2 ? [average] : together, {
      marked: true,
      xTitle: "pairs seen",
    })),
    ...(tasks.length > 4
      ? await Promise.all(
          tasks.map(({ name, points }) => small(`${name}, %`, { points }, { marked: true, xTitle: "pairs seen" })),
        )
      : []),
  ]
  return html`
<section>
  <h2>Zero-shot along the way</h2>
  <p>Main metric of each task, in percent, over the pairs seen.</p>
  <div class="charts">${charts.map(chartFigure)}</div>
  <table class="bars">
    <thead><tr><th>after ${last.samplesSeen.toLocaleString("en")} pairs</th><th></th><th></th><th>best</th></tr></thead>
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

type Look = Partial<Pick<Parameters<typeof curvesChart>[1], "smoothed" | "zero" | "marked" | "xTitle">>

async function bothWidths(caption: string, label: string, curves: readonly Curve[], look: Look): Promise<Chart[]> {
  const draw = (width: number) => curvesChart(curves, { width, height: 260, xTitle: "step", ...look })
  return [
    { caption, label, svg: await draw(880), size: "wide" },
    { caption, label, svg: await draw(360), size: "narrow" },
  ]
}

async function small(caption: string, curve: Curve, look: Look = {}): Promise<Chart> {
  const svg = await curvesChart([curve], { ...SMALL, xTitle: "step", ...look })
  return { caption, label: `${caption} over the run`, svg, size: "small" }
}

function curveOf(steps: readonly StepEntry[], value: (step: StepEntry) => number): Curve {
  return { points: steps.map((entry) => ({ x: entry.step, y: value(entry) })) }
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)}%`
}
