/** The learning curves of students, drawn for the page of a report. */
import type { LearningCurve } from "../../evaluate/efficiency.ts"
import { type Curve, curvesChart } from "../../report/chart.ts"
import { Html, html } from "../../report/html.ts"
import type { StudentResults } from "./students.ts"

/** Accuracy over samples, plain and reinforced; mean over the seeds. In two widths, of which the page shows one. */
export async function accuracyFigure({ plain, reinforced }: Pick<StudentResults, "plain" | "reinforced">) {
  const curves = [meanCurve("plain", plain), meanCurve("reinforced", reinforced)]
  const [wide, narrow] = await Promise.all([880, 360].map((width) => accuracyChart(curves, width)))
  const label = "Mean accuracy over samples seen"
  return html`${figure(wide!, label, "wide")}${figure(narrow!, label, "narrow")}`
}

/** A drawing as part of a page. */
export function figure(svg: string, label: string, kind = ""): Html {
  return html`<div class="chart ${kind}" role="img" aria-label="${label}">${new Html(svg)}</div>`
}

function meanCurve(name: string, curves: readonly LearningCurve[]): Curve {
  const points = curves[0]!.map(({ samplesSeen }, i) => ({ x: samplesSeen, y: meanAt(curves, i) }))
  return { name, points }
}

/** Mean over the seeds of the average at point `index`. */
export function meanAt(curves: readonly LearningCurve[], index: number): number {
  return curves.reduce((sum, curve) => sum + curve[index]!.average, 0) / curves.length
}

function accuracyChart(curves: readonly Curve[], width: number): Promise<string> {
  return curvesChart(curves, { width, height: 280, xTitle: "samples seen", format: ".0%", marked: true, zero: true })
}
