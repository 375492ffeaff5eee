/** Curves as figures of a page. */
import { type Curve, type CurvesOptions, curvesChart } from "./chart.ts"
import { Html, html } from "./html.ts"

export interface FigureOptions extends Omit<CurvesOptions, "width" | "height"> {
  readonly caption?: string
  /** For those who do not see it. */
  readonly label: string
}

/** Takes a whole row: drawn for wide and for narrow screens, of which the page shows one. */
export async function wideFigure(curves: readonly Curve[], options: FigureOptions): Promise<Html> {
  const [wide, narrow] = await Promise.all([
    curvesChart(curves, { ...options, width: 880, height: 260 }),
    curvesChart(curves, { ...options, width: 360, height: 260 }),
  ])
  return html`${figure(wide, options, "wide")}${figure(narrow, options, "narrow")}`
}

/** Stands beside another. */
export async function smallFigure(curves: readonly Curve[], options: FigureOptions): Promise<Html> {
  return figure(await curvesChart(curves, { ...options, width: 420, height: 150 }), options, "small")
}

function figure(svg: string, { caption, label }: FigureOptions, size: "wide" | "narrow" | "small"): Html {
  const figcaption = caption === undefined ? null : html`<figcaption>${caption}</figcaption>`
  return html`
<figure class="chart ${size}">${figcaption}<div role="img" aria-label="${label}">${new Html(svg)}</div></figure>`
}
