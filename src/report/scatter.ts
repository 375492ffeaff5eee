/** Named points in two dimensions, in series of their own colour and shape. */
import { printable } from "../core/printable.ts"
import { draw, figure } from "./chart.ts"
import { type Html, html } from "./html.ts"

export interface ScatterPoint {
  readonly name: string
  readonly x: number
  readonly y: number
}

export interface Series {
  /** In the legend. */
  readonly name: string
  readonly points: readonly ScatterPoint[]
  /** Whether its points are joined, from left to right. */
  readonly joined?: boolean
  /** On which side of its points the names stand. */
  readonly names: "left" | "right"
}

export interface ScatterOptions {
  readonly xTitle: string
  readonly yTitle: string
  /** Text for screen readers. */
  readonly label: string
}

/** Drawn for wide and for narrow screens; the page shows one of both. The lower axis is one of powers. */
export async function scatterFigure(series: readonly Series[], options: ScatterOptions): Promise<Html> {
  const caption = options.yTitle
  const [wide, narrow] = await Promise.all([scatterChart(series, options, 880, 400), scatterChart(series, options, 360, 400)])
  return html`${figure(wide, { caption, label: options.label }, "wide")}${figure(narrow, { caption, label: options.label }, "narrow")}`
}

const colours = ["var(--accent)", "var(--wrong)", "var(--right)", "var(--fourth)"] as const
const shapes = ["circle", "square", "diamond", "triangle-up"] as const

/** An `<svg>`; points that are not finite, or not above 0 on the lower axis, are left out. */
export async function scatterChart(
  given: readonly Series[],
  { xTitle }: Pick<ScatterOptions, "xTitle">,
  width: number,
  height: number,
): Promise<string> {
  const series = given.map((each) => ({ ...each, name: printable(each.name), points: each.points.filter(isDrawn) }))
  const values = series.flatMap(({ name, points, names }) =>
    points.map((point) => ({ ...point, name: printable(point.name), series: name, names })),
  )
  if (values.length === 0) return draw({ width, height, data: { values: [] }, mark: "point" })
  const order = series.map(({ name }) => name)
  const legend = { title: null, orient: "top", labelColor: "var(--ink)", labelFontSize: 12, symbolOpacity: 1 } as const
  const color = { field: "series", type: "nominal", sort: order, scale: { domain: order, range: [...colours] }, legend } as const
  const shape = { field: "series", type: "nominal", sort: order, scale: { domain: order, range: [...shapes] }, legend } as const
  const [low, high] = [Math.min(...values.map(({ x }) => x)), Math.max(...values.map(({ x }) => x))]
  const domain = [low / 1.3, high * 1.3]
  const axis = { title: xTitle, grid: false, values: ticksBetween(domain[0]!, domain[1]!), labelExpr: "format(datum.value, '~s')" }
  const type = "quantitative" as const
  const x = { field: "x", type, scale: { type: "log" as const, domain, nice: false }, axis }
  const y = { field: "y", type: "quantitative", scale: { zero: false, nice: true }, axis: { tickCount: 6, title: null } } as const
  const joined = series.filter((each) => each.joined).map(({ name }) => name)
  const line = { type: "line", strokeWidth: 1.5, opacity: 0.45 } as const
  const names = (side: Series["names"]) =>
    ({
      transform: [{ filter: { field: "names", equal: side } }],
      mark: { type: "text" as const, align: side === "left" ? ("right" as const) : ("left" as const), dx: side === "left" ? -8 : 8 },
      encoding: { x, y, text: { field: "name", type: "nominal" as const }, color: { ...color, legend: null } },
    })
  return draw({
    width,
    height,
    data: { values },
    layer: [
      {
        transform: [{ filter: { field: "series", oneOf: joined } }],
        mark: line,
        encoding: { x, y, color: { ...color, legend: null }, order: { field: "x", type: "quantitative" } },
      },
      { mark: { type: "point", filled: true, size: 70, opacity: 1 }, encoding: { x, y, color, shape } },
      names("left"),
      names("right"),
    ],
  })
}

function isDrawn({ x, y }: ScatterPoint): boolean {
  return Number.isFinite(x) && x > 0 && Number.isFinite(y)
}

/** 1, 2 and 5 times powers of ten. */
export function ticksBetween(low: number, high: number): number[] {
  const powers = Array.from({ length: 13 }, (_, i) => 10 ** (i - 3))
  return powers.flatMap((power) => [power, 2 * power, 5 * power]).filter((tick) => tick >= low && tick <= high)
}
