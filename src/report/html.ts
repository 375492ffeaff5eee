/** HTML as a value: what is put into a template is escaped, unless it already is HTML. */

import { printableLines } from "../core/printable.ts"

export class Html {
  constructor(readonly text: string) {}
}

type Part = string | number | Html | readonly Html[] | null

/** html`<p>${text}</p>` */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(strings.reduce((text, piece, i) => text + toText(parts[i - 1] ?? null) + piece))
}

export function escapeHtml(text: string): string {
  return printableLines(text).replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

function toText(part: Part): string {
  if (part === null) return ""
  if (part instanceof Html) return part.text
  if (Array.isArray(part)) return part.map((item) => item.text).join("")
  return escapeHtml(String(part))
}
