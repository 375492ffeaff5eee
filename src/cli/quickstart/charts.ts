/** Curves of a training run as SVG. Colours are CSS variables of the page, so one drawing serves light and dark. */
import { parse, View } from "vega"
import { compile, type TopLevelSpec } from "vega-lite"
import type { LossPoint } from "./report.ts"

/** Points a curve is drawn with, at most: more than pixels only make the file larger. */
const MAX_POINTS = 500

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

/** Mean over the `window` values around each, of those there are. */
export function smooth(values: readonly number[], window: number): number[] {
  const half = Math.floor(window / 2)
  const sums = [0]
  for (const value of values) sums.push(sums.at(-1)! + value)
  return values.map((_, i) => {
    const [from, to] = [Math.max(0, i - half), Math.min(values.length, i + half + 1)]
    return (sums[to]! - sums[from]!) / (to - from)
  })
}

/** Every k-th point and the last, at most about `MAX_POINTS`. */
export function thin<T>(points: readonly T[]): T[] {
  const stride = Math.ceil(points.length / MAX_POINTS)
  return points.filter((_, i) => i % stride === 0 || i === points.length - 1)
}

function xAxis(width: number) {
  const axis = { title: "step", tickCount: Math.round(width / 90), grid: false }
  return { field: "step", type: "quantitative", axis } as const
}

function yAxis(field: string) {
  return { field, type: "quantitative", scale: { zero: true }, axis: { tickCount: 5, title: null } } as const
}

/** @returns an `<svg>` element of the spec's width, axes included */
async function draw(spec: TopLevelSpec): Promise<string> {
  const axis = {
    labelColor: "var(--soft)",
    titleColor: "var(--soft)",
    titleFontWeight: "normal",
    gridColor: "var(--line)",
  }
  const config = {
    background: "transparent",
    font: "system-ui, sans-serif",
    view: { stroke: null },
    line: { color: "var(--accent)" },
    text: { fontSize: 12 },
    axis: {
      ...axis,
      labelFontSize: 12,
      titleFontSize: 12,
      domain: false,
      ticks: false,
      labelPadding: 6,
      titlePadding: 4,
    },
  } as const
  const autosize = { type: "fit", contains: "padding" } as const
  const view = new View(parse(compile({ ...spec, padding: 2, autosize, config } as TopLevelSpec).spec), {
    renderer: "none",
  })
  const svg = await view.toSVG()
  view.finalize()
  return svg
}
