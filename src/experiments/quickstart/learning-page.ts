/** The part of the report that compares the two students, and shows their teachers. */
import type { CurvePoint } from "../../evaluate/efficiency.ts"
import { smallFigure } from "../../report/chart.ts"
import { type Html, html } from "../../report/html.ts"
import { integer, percent } from "../../report/numbers.ts"
import { type StepEntry, totalLoss } from "../../train/log/entries.ts"
import { stepCurve } from "../../train/log/report/curves.ts"
import { accuracyFigure, efficiencySection, stepTimeText, teachersText } from "../comparison/learning-efficiency.ts"
import type { ReportData } from "./report-data.ts"

/** Whose pictures the teachers saw. */
export const renderedOrigin = "rendered by the same program"

/** Accuracy over samples, and each student's accuracies at its end. */
export async function learned(data: ReportData): Promise<Html> {
  return html`
<section>
  <h2>What reinforcement is worth</h2>
  <p>Mean accuracy over all tasks${data.plain.length > 1 ? `, and over ${data.plain.length} students of each kind` : ""}.</p>
  ${await accuracyFigure(data)}
  ${taskTable(data)}
  ${efficiencySection(data.efficiency)}
  <p>Measured with steps in turn in one process: ${stepTimeText(data.stepTime)}. The teachers' embeddings come from a file.</p>
</section>`
}

/** The accuracies of the teachers and the captioner. */
export function teachers({ teachers, captioner, precisePictures }: ReportData): Html {
  const tasks = Object.keys(captioner.tasks)
  const row = (name: string, { samplesSeen, tasks: scores, average }: CurvePoint) => html`
<tr><th scope="row">${name}</th><td>${integer(samplesSeen)}</td>${tasks.map((task) => html`<td>${percent(scores[task]!)}</td>`)}<td><b>${percent(average)}</b></td></tr>`
  const { average, ...captions } = captioner.captions
  return html`
<section>
  <h2>What they learned from</h2>
  <p>${teachersText(precisePictures, renderedOrigin)} Their zero-shot accuracy on the same test:</p>
  <div class="scroll"><table class="plain">
    <thead><tr><th></th><th>samples</th>${tasks.map((task) => html`<th>${task}</th>`)}<th>mean</th></tr></thead>
    <tbody>${teachers.map((teacher) => row(`teacher ${teacher.name}`, teacher))}${row("captioner", captioner)}</tbody>
  </table></div>
  <p>Shares of the captioner's captions for the students' pictures that are true about each attribute:
  ${Object.entries(captions).map(([what, share], i) => html`${i > 0 ? ", " : ""}${what} ${percent(share)}`)}.</p>
</section>`
}

/** Loss, learning rate and logit scale of the first two students. */
export async function losses({ losses: { plain, reinforced } }: ReportData): Promise<Html> {
  const both = (value: (entry: StepEntry) => number) => [
    stepCurve(plain, value, "plain"),
    stepCurve(reinforced, value, "reinforced"),
  ]
  const loss = { caption: "loss", label: "Loss over the steps", xTitle: "step", smoothed: true }
  const scale = { caption: "logit scale (1 / temperature)", label: "Logit scale over the steps", xTitle: "step" }
  return html`
<section>
  <h2>How they learned</h2>
  <p>The two losses cannot be compared: plain training looks for each picture's caption in the batch. Reinforced training imitates the
  teachers' distributions over the batch, for real and synthetic captions, and its loss cannot fall below their entropy.</p>
  <div class="charts">
    ${await smallFigure(both(totalLoss), loss)}
    ${await smallFigure(
      both(({ logitScale }) => logitScale),
      scale,
    )}
  </div>
</section>`
}

function taskTable({ plain, reinforced, tasks }: ReportData): Html {
  const ends = [plain, reinforced].map((curves) => curves.map((curve) => curve.at(-1)!))
  const mean = (points: readonly CurvePoint[], value: (point: CurvePoint) => number) =>
    points.reduce((sum, point) => sum + value(point), 0) / points.length
  const row = (name: string, value: (point: CurvePoint) => number, chance: string) => html`
<tr><th scope="row">${name}</th>${ends.map((points) => html`<td>${percent(mean(points, value))}</td>`)}<td>${chance}</td></tr>`
  return html`
<table class="plain">
  <thead><tr><th>at the end</th><th>plain</th><th>reinforced</th><th>chance</th></tr></thead>
  <tbody>${tasks.map(({ name, chance }) => row(name, (point) => point.tasks[name]!, percent(chance)))}
  ${row("mean", ({ average }) => average, "")}</tbody>
</table>`
}
