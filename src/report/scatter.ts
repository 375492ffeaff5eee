/** Points with their names, as a figure of a page: accuracy over what it costs. */
import { printable } from "../core/printable.ts"
import { draw, palette } from "./chart.ts"
import { Html, html } from "./html.ts"

export interface ScatterPoint {
  /** Stands beside the point. */
  readonly name: string
  readonly x: number
  readonly y: number
}

export interface ScatterSeries {
  /** In the legend. */
  readonly name: string
  readonly points: readonly ScatterPoint[]
  /** Whether a line joins the points, in the order of x. */
  readonly joined?: boolean
  /** Where the points' names stand: above on the left, or below on the right (default); a series that rises crosses neither. */
  readonly labels?: "above" | "below"
}

interface ScatterOptions {
  readonly xTitle: string
  readonly yTitle: string
  /** Ends of the upright axis, which two figures may share; default: those of the points. */
  readonly yRange?: readonly [number, number]
  readonly width?: number
  readonly height?: number
}

interface FigureOptions extends ScatterOptions {
  readonly caption?: string
  /** Text for screen readers. */
  readonly label: string
}

/** A figure that stands beside another. The lower axis is one of powers; points that are not finite, or not positive on it, are left out. */
export async function scatterFigure(series: readonly ScatterSeries[], options: FigureOptions): Promise<Html> {
  const svg = await scatterChart(series, options)
  const { caption, label } = options
  const figcaption = caption === undefined ? null : html`<figcaption>${caption}</figcaption>`
  return html`
<figure class="chart small">${figcaption}<div role="img" aria-label="${label}">${new Html(svg)}</div></figure>`
}

export async function scatterChart(given: readonly ScatterSeries[], options: ScatterOptions): Promise<string> {
  const { width = 430, height = 340 } = options
  const series = given.map((one) => ({ ...one, name: printable(one.name), points: one.points.filter(isDrawn) }))
  const values = series.flatMap(({ name: series, points, joined = false, labels }) =>
    points.map(({ x, y, name }) => ({ series, x, y, name: printable(name), joined, above: labels === "above" })),
  )
  const names = series.filter(({ points }) => points.length > 0).map(({ name }) => name)
  const encoding = { ...axesOf(values, options), color: coloursOf(names) }
  const label = (above: boolean) =>
    ({
      data: { values: values.filter((value) => value.above === above) },
      mark: { type: "text", align: above ? "right" : "left", dx: above ? -6 : 6, dy: above ? -6 : 8, fontSize: 11 },
      encoding: { ...encoding, text: { field: "name", type: "nominal" } },
    }) as const
  const joined = { values: values.filter((value) => value.joined) }
  return draw({
    ...{ width, height, data: { values } },
    layer: [
      { data: joined, mark: { type: "line", strokeWidth: 1.5, opacity: 0.5 }, encoding },
      { mark: { type: "point", filled: true, size: 60, opacity: 1 }, encoding },
      label(true),
      label(false),
    ],
  })
}

function coloursOf(names: string[]) {
  return {
    field: "series",
    type: "nominal",
    sort: names,
    scale: { domain: names, range: palette.slice(0, names.length) },
    legend: { title: null, orient: "top", labelColor: "var(--ink)", labelFontSize: 12, symbolOpacity: 1, columns: 2 },
  } as const
}

/** Ends are those of the values, the upright axis's where they are not given. */
function axesOf(values: readonly { readonly x: number; readonly y: number }[], options: ScatterOptions) {
  const { xTitle, yTitle, yRange } = options
  const column = (of: "x" | "y", factor: number) =>
    rangeOf(
      values.map((value) => value[of]),
      factor,
    )
  const [xEnds, yEnds] = [column("x", 10), yRange ? [...yRange] : column("y", 1.1)]
  return {
    x: {
      field: "x",
      type: "quantitative",
      scale: { type: "log", nice: false, domain: xEnds, padding: 26 },
      axis: { title: xTitle, grid: false, values: ticksIn(xEnds), labelExpr: "format(datum.value, '~s')" },
    },
    y: {
      field: "y",
      type: "quantitative",
      scale: { zero: false, nice: false, padding: 20, domain: yEnds },
      axis: { title: yTitle, tickCount: 6, format: "~g" },
    },
  } as const
}

function isDrawn({ x, y }: ScatterPoint): boolean {
  return Number.isFinite(x) && x > 0 && Number.isFinite(y)
}

/** Vega's scales need ends that differ: where there are no two values, one is `factor` times the other. */
function rangeOf(values: readonly number[], factor: number): [number, number] {
  const [low, high] = [Math.min(...values), Math.max(...values)]
  if (low < high) return [low, high]
  return values.length === 0 ? [1, factor] : [low, low === 0 ? factor : low * factor]
}

/** 1, 2 and 5 times the powers of ten, between the ends and beside them. */
function ticksIn([low, high]: readonly [number, number]): number[] {
  const powers = Array.from({ length: 14 }, (_, i) => 10 ** (i - 6))
  const ticks = powers.flatMap((power) => [power, 2 * power, 5 * power])
  return ticks.filter((tick) => tick >= low / 1.6 && tick <= high * 1.6)
}
