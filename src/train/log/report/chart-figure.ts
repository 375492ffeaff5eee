/** A drawing with its caption. */
import { Html, html } from "../../../report/html.ts"

export interface Chart {
  readonly caption: string
  /** For those who do not see it. */
  readonly label: string
  readonly svg: string
  /** "wide" and "narrow" are the same drawing for wide and narrow screens; "small" stands beside another. */
  readonly size: "wide" | "narrow" | "small"
}

export function chartFigure({ caption, label, svg, size }: Chart): Html {
  const figcaption = caption === "" ? null : html`<figcaption>${caption}</figcaption>`
  return html`<figure class="chart ${size}" role="img" aria-label="${label}">${figcaption}${new Html(svg)}</figure>`
}
