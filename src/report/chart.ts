/** Curves as figures of a page: Vega-Lite drawings as SVG. Colours are CSS variables of the page, so one drawing serves light and dark. */
import type { TopLevelSpec } from "vega-lite"
import { printable } from "../core/printable.ts"
import { Html, html } from "./html.ts"

/** The most points of a curve: more points than pixels only make the file larger. */
const MAX_POINTS = 500

export interface Curve {
  /** Name in the legend; a curve without a name is not in it. */
  readonly name?: string
  readonly points: readonly { readonly x: number; readonly y: number }[]
}

interface CurvesOptions {
  readonly width: number
  readonly height: number
  readonly xTitle: string
  /** Whether the upright axis begins at 0. */
  readonly zero?: boolean
  /** d3's notation. */
  readonly format?: string
  /** Whether values are drawn thin, and their moving average bold. */
  readonly smoothed?: boolean
  /** Whether the points are marked: for a few measurements rather than a curve of steps. */
  readonly marked?: boolean
  /** Where the lower axis ends; default: with the curves. */
  readonly xEnd?: number
  /** Where upright dashed lines are drawn, within the curves' range. */
  readonly rules?: readonly number[]
  /** Whether the lower axis is one of powers, with a tick at every point: for a few positive values far apart. */
  readonly logarithmic?: boolean
}

export interface FigureOptions extends Omit<CurvesOptions, "width" | "height"> {
  readonly caption?: string
  /** Text for screen readers. */
  readonly label: string
}

/** A figure that takes a whole row. It is drawn for wide and for narrow screens, and the page shows one of both. */
export async function wideFigure(curves: readonly Curve[], options: FigureOptions): Promise<Html> {
  const [wide, narrow] = await Promise.all([
    curvesChart(curves, { ...options, width: 880, height: 260 }),
    curvesChart(curves, { ...options, width: 360, height: 260 }),
  ])
  return html`${figure(wide, options, "wide")}${figure(narrow, options, "narrow")}`
}

/** A figure that stands beside another. */
export async function smallFigure(curves: readonly Curve[], options: FigureOptions): Promise<Html> {
  return figure(await curvesChart(curves, { ...options, width: 420, height: 150 }), options, "small")
}

function figure(svg: string, { caption, label }: FigureOptions, size: "wide" | "narrow" | "small"): Html {
  const figcaption = caption === undefined ? null : html`<figcaption>${caption}</figcaption>`
  return html`
<figure class="chart ${size}">${figcaption}<div role="img" aria-label="${label}">${new Html(svg)}</div></figure>`
}

/**
 * Several quantities over one axis; values that are not finite are left out. Names are made printable, because a line separator
 * would end a string in Vega's expressions, and an SVG document must not contain control characters.
 */
export async function curvesChart(given: readonly Curve[], options: CurvesOptions): Promise<string> {
  const curves = given.map((curve) => ({ ...curve, name: printable(curve.name ?? "") }))
  const { width, height, xTitle, zero = true, format = ".3~g", smoothed = false, marked = false, rules = [] } = options
  const values = curves.flatMap(({ name, points }) => curveValues(name, points))
  const logarithmic = options.logarithmic === true && values.length > 0
  // Without values Vega's scales would go from NaN to NaN, also in the text for screen readers.
  const range = values.length === 0 ? { domain: [0, 1] } : {}
  const ticks = logarithmic ? { values: [...new Set(values.map(({ x }) => x))] } : { tickCount: Math.round(width / 90) }
  const xRange = options.xEnd === undefined ? range : { domain: [0, options.xEnd] }
  const x = {
    field: "x",
    type: "quantitative",
    scale: logarithmic ? ({ type: "log", nice: false } as const) : { nice: false, zero: marked, ...xRange },
    axis: { title: xTitle, ...ticks, grid: false, labelExpr: "format(datum.value, '~s')" },
  } as const
  const y = (field: string) =>
    ({ field, type: "quantitative", scale: { zero, ...range }, axis: { tickCount: 4, title: null, format } }) as const
  const legend = {
    title: null,
    orient: "top",
    labelColor: "var(--ink)",
    labelFontSize: 12,
    symbolType: "stroke",
    symbolOpacity: 1,
    symbolStrokeWidth: 2.25,
  } as const
  const names = curves.map(({ name }) => name)
  const color =
    curves.length > 1
      ? ({
          field: "name",
          type: "nominal",
          sort: names,
          scale: { domain: names, range: [...palette] },
          legend,
        } as const)
      : undefined
  const encoding = (field: string) => ({ x, y: y(field), ...(color && { color }) })
  const bold = { type: "line", strokeWidth: smoothed ? 2.25 : 1.75, ...(marked && { point: { size: 28 } }) } as const
  return draw({
    width,
    height,
    data: { values },
    layer: [
      ...(rules.length > 0 ? [ruleLayer(rules)] : []),
      ...(smoothed
        ? [{ mark: { type: "line", strokeWidth: 1, opacity: 0.35 }, encoding: encoding("y") } as const]
        : []),
      { mark: bold, encoding: encoding(smoothed ? "smoothed" : "y") },
    ],
  })
}

function ruleLayer(at: readonly number[]) {
  const strokeDash = [4, 4]
  return {
    data: { values: at.map((x) => ({ x })) },
    mark: { type: "rule", color: "var(--soft)", strokeDash, strokeWidth: 1.25 },
    encoding: { x: { field: "x", type: "quantitative" } },
  } as const
}

/** The colours also differ in lightness; the page defines them for light and dark. */
export const palette = ["var(--accent)", "var(--wrong)", "var(--right)", "var(--fourth)", "var(--soft)"] as const

function curveValues(name: string, points: Curve["points"]) {
  const finite = points.filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y))
  const smoothed = smooth(
    finite.map(({ y }) => y),
    finite.length / 25,
  )
  return thin(finite.map(({ x, y }, i) => ({ name, x, y, smoothed: smoothed[i]! })))
}

/** For each value the mean of the `window` values around it, or of fewer near the ends. */
export function smooth(values: readonly number[], window: number): number[] {
  const half = Math.floor(window / 2)
  const sums = [0]
  for (const value of values) sums.push(sums.at(-1)! + value)
  return values.map((_, i) => {
    const [from, to] = [Math.max(0, i - half), Math.min(values.length, i + half + 1)]
    return (sums[to]! - sums[from]!) / (to - from)
  })
}

/** Every k-th point and the last one, about `MAX_POINTS` at most. */
export function thin<T>(points: readonly T[]): T[] {
  const stride = Math.ceil(points.length / MAX_POINTS)
  return points.filter((_, i) => i % stride === 0 || i === points.length - 1)
}

/** @returns an `<svg>` element of the spec's width, axes included */
export async function draw(spec: TopLevelSpec): Promise<string> {
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
    point: { color: "var(--accent)" },
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
  // 800 modules, which are loaded only where something is drawn.
  const [{ parse, View }, { compile }] = await Promise.all([import("vega"), import("vega-lite")])
  const view = new View(parse(compile({ ...spec, padding: 2, autosize, config } as TopLevelSpec).spec), {
    renderer: "none",
  })
  const svg = await view.toSVG()
  view.finalize()
  return svg
}
