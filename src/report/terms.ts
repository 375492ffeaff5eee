/** Lists of terms and what they are. */
import { type Html, html } from "./html.ts"

export type Term = readonly [term: string, text: string]

/** The few figures that matter most, large. */
export function figureList(terms: readonly Term[]): Html {
  return html`<dl class="figures">${terms.map(termRow)}</dl>`
}

/** What is looked up, a line each. */
export function factList(terms: readonly Term[]): Html {
  return html`<dl class="facts">${terms.map(termRow)}</dl>`
}

function termRow([term, text]: Term): Html {
  return html`<div><dt>${term}</dt><dd>${text}</dd></div>`
}
