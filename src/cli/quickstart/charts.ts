/** Curves of the quickstart's training as SVG. */
import { draw, smooth, thin } from "../../report/chart.ts"
import type { LossPoint } from "./report.ts"

/** The loss of each step, smoothed over raw, against the loss of guessing, ln(batch size). */
export async function lossChart(losses: readonly LossPoint[], batchSize: number, width: number): Promise<string> {
  const smoothed = smooth(
    losses.map(({ loss }) => loss),
    losses.length / 25,
  )
  const values = thin(losses.map(({ step, loss }, i) => ({ step, loss, smoothed: smoothed[i]! })))
  const guessing = Math.log(batchSize)
  const label = `guessing: ln ${batchSize} = ${guessing.toFixed(2)}`
  const x = xAxis(width)
  return draw({
    width,
    height: 240,
    data: { values },
    layer: [
      { mark: { type: "line", strokeWidth: 1, opacity: 0.45 }, encoding: { x, y: yAxis("loss") } },
      { mark: { type: "line", strokeWidth: 2.25 }, encoding: { x, y: yAxis("smoothed") } },
      { mark: { type: "rule", color: "var(--soft)", strokeDash: [3, 3] }, encoding: { y: { datum: guessing } } },
      {
        data: { values: [{}] },
        mark: {
          type: "text",
          text: label,
          align: "right",
          baseline: "bottom",
          dy: -4,
          color: "var(--soft)",
          x: "width",
        },
        encoding: { y: { datum: guessing } },
      },
    ],
  })
}

/** One quantity of each step. */
export async function stepChart(
  losses: readonly LossPoint[],
  field: "learningRate" | "logitScale",
  width: number,
): Promise<string> {
  return draw({
    width,
    height: 130,
    data: { values: thin(losses) },
    mark: { type: "line", strokeWidth: 1.75 },
    encoding: { x: xAxis(width), y: { ...yAxis(field), axis: { tickCount: 3, title: null, format: ".3~g" } } },
  })
}

function xAxis(width: number) {
  const axis = { title: "step", tickCount: Math.round(width / 90), grid: false }
  return { field: "step", type: "quantitative", axis } as const
}

function yAxis(field: string) {
  return { field, type: "quantitative", scale: { zero: true }, axis: { tickCount: 5, title: null } } as const
}
