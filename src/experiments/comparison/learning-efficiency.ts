/** How much sooner the reinforced student learns, in words and as a figure. The ratio is 0 where it never was as good. */
import type { LearningCurve, Spread } from "../../evaluate/efficiency.ts"
import { type Curve, wideFigure } from "../../report/chart.ts"
import type { Html } from "../../report/html.ts"
import type { StudentResults } from "./students.ts"

/** A clause about the ratio, and its spread over several seeds. */
export function efficiencyText({ median, low, high }: Spread, seeds: number): string {
  const spread = seeds > 1 ? ` (${low.toFixed(1)} to ${high.toFixed(1)} over ${seeds} seeds)` : ""
  if (median === 0) return `reinforced training did not reach the best of plain training${spread}`
  return `plain training needs ${median.toFixed(1)} times the samples${spread} to be as good`
}

/** "1.8x", or "not reached". */
export function efficiencyFigure({ median }: Spread): string {
  return median === 0 ? "not reached" : `${median.toFixed(1)}x`
}

/** The title of a page; `otherwise` is the title of a comparison without a clear difference. */
export function efficiencyTitle({ median }: Spread, otherwise: string): string {
  return median >= 1.05 ? `${median.toFixed(1)} times fewer samples for the same accuracy` : otherwise
}

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
