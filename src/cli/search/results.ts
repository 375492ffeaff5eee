/** A page of results in the form that was asked for. */

import { UserError } from "../../core/errors.ts"
import type { FilterWords } from "../../search/query/parse/parse-filters.ts"
import { dividerPlace, type SearchPage } from "../../search/query/search-page.ts"
import { explanationText } from "../../search/show/explanation-text.ts"
import { type CheckedPage, checkFiles } from "../../search/show/hit-files.ts"
import { noMatchText, resultJson, resultPaths, tableLines } from "../../search/show/result-lines.ts"
import { chooseProtocol, type PictureMode } from "../../search/show/terminal/choose-protocol.ts"
import type { CommandContext } from "../context.ts"
import type { ProgressMode } from "../progress.ts"

export interface OutputOptions {
  readonly index: string
  readonly json?: true
  readonly print0?: true
  readonly explain?: true
  readonly weak?: number
  readonly sheet?: string
  readonly pictures?: PictureMode
}

/** The options of `search`. */
export interface SearchCommand extends FilterWords, OutputOptions {
  readonly model?: string
  readonly plus?: readonly string[]
  readonly minus?: readonly string[]
  readonly like?: readonly string[]
  readonly limit: number
  readonly cursor?: string
  readonly pageAll?: true
  readonly words: number
  readonly onlyMatches?: true
  readonly strictness?: number
  readonly duplicates?: true
  readonly threshold?: number
  readonly threads?: number
  readonly progress: ProgressMode
}

export interface Writing extends Pick<CommandContext, "writeUnchanged"> {
  writeOut?(text: string): void
}

const defaultWeak = 5

/** Throws UserError where two forms are asked for at once: one of them would be left out without a word. */
export function requireOneForm({ json, print0, pictures, explain }: Partial<OutputOptions>): void {
  const forms = [
    ...(json ? ["--json"] : []),
    ...(print0 ? ["-0"] : []),
    ...(pictures !== undefined && pictures !== "none" ? ["--pictures"] : []),
  ]
  if (forms.length > 1) throw new UserError(`${forms.join(" and ")} are two forms of one output`, "choose one of them")
  if (print0 && explain) throw new UserError("-0 prints paths alone, without what --explain says", "leave one out")
}

export async function writePage(
  found: SearchPage,
  query: string,
  options: OutputOptions,
  to: Writing,
  say: (line: string) => void,
): Promise<void> {
  const page = checkFiles(found)
  if (options.sheet !== undefined) {
    const { writeSheet } = await import("../../search/show/write-sheet.ts")
    for (const note of await writeSheet(page, options.sheet, query, options.index)) say(note)
  }
  if (options.json) return to.writeOut?.(resultJson(page, query))
  if (options.print0) {
    if (page.matches === 0) say(noMatchText(page))
    to.writeUnchanged(resultPaths(page, "\0"))
    const weak = page.hits.length - dividerPlace(page.hits)
    if (weak > 0) say(`${weak.toLocaleString("en")} weaker left out`)
  } else await writeTable(page, options, to)
  for (const note of page.notes) say(note)
  if (page.cursor !== null) say(`more: --cursor ${page.cursor}`)
}

async function writeTable(
  page: CheckedPage,
  { index, explain, weak = defaultWeak, pictures = "none" }: OutputOptions,
  to: Writing,
): Promise<void> {
  const text = (part: string) => to.writeOut?.(part)
  const lines = tableLines(page, { folder: process.cwd(), mostWeak: weak })
  const protocol = chooseProtocol(pictures)
  if (protocol) {
    const { writeWithPictures } = await import("../../search/show/terminal-pictures.ts")
    await writeWithPictures(lines, protocol, { text, picture: to.writeUnchanged }, index)
  } else for (const line of lines) text(`${line.text}\n`)
  const ranks = new Set(lines.map(({ hit }) => hit?.rank))
  if (explain && page.explanation) text(explanationText(page.explanation, ({ rank }) => ranks.has(rank)))
}
