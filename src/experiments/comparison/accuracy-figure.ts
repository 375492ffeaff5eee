/** The learning curves of students, drawn for the page of a report. */
import type { LearningCurve } from "../../evaluate/efficiency.ts"
import type { Curve } from "../../report/chart.ts"
import { wideFigure } from "../../report/chart-figure.ts"
import type { Html } from "../../report/html.ts"
import type { StudentResults } from "./students.ts"

/** Accuracy over samples, plain and reinforced; mean over the seeds. */
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
