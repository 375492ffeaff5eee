/** Lists of terms with their values. */
import { type Html, html } from "./html.ts"

export type Term = readonly [term: string, text: string]

/** The most important figures, in large type. */
export function figureList(terms: readonly Term[]): Html {
  return html`<dl class="figures">${terms.map(termRow)}</dl>`
}

/** Facts to look up, one on each line. */
export function factList(terms: readonly Term[]): Html {
  return html`<dl class="facts">${terms.map(termRow)}</dl>`
}

function termRow([term, text]: Term): Html {
  return html`<div><dt>${term}</dt><dd>${text}</dd></div>`
}
