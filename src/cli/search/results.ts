/** A page of results in the form that was asked for. */
import type { FilterWords } from "../../search/query/parse/parse-filters.ts"
import type { SearchPage } from "../../search/query/search-page.ts"
import { explanationText } from "../../search/show/explanation-text.ts"
import { type CheckedPage, checkFiles } from "../../search/show/hit-files.ts"
import { resultJson, resultPaths, tableLines } from "../../search/show/result-lines.ts"
import { chooseProtocol, type PictureMode } from "../../search/show/terminal/choose-protocol.ts"
import type { CommandContext } from "../context.ts"
import type { ProgressMode } from "../progress.ts"

export interface OutputOptions {
  readonly json?: true
  readonly print0?: true
  readonly explain?: true
  readonly weak?: number
  readonly sheet?: string
  readonly pictures?: PictureMode
}

/** The options of `search`. */
export interface SearchCommand extends FilterWords, OutputOptions {
  readonly index: string
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
    for (const note of await writeSheet(page, options.sheet, query)) say(note)
  }
  if (options.json) return to.writeOut?.(resultJson(page, query))
  if (options.print0) {
    if (page.matches === 0) say("no match")
    to.writeUnchanged(resultPaths(page, "\0"))
  } else await writeTable(page, options, to)
  for (const note of page.notes) say(note)
  if (page.cursor !== null) say(`more: --cursor ${page.cursor}`)
}

async function writeTable(
  page: CheckedPage,
  { explain, weak = defaultWeak, pictures = "none" }: OutputOptions,
  to: Writing,
): Promise<void> {
  const text = (part: string) => to.writeOut?.(part)
  const lines = tableLines(page, { folder: process.cwd(), mostWeak: weak })
  const protocol = chooseProtocol(pictures)
  if (protocol) {
    const { writeWithPictures } = await import("../../search/show/terminal-pictures.ts")
    await writeWithPictures(lines, protocol, { text, picture: to.writeUnchanged })
  } else for (const line of lines) text(`${line.text}\n`)
  const ranks = new Set(lines.map(({ hit }) => hit?.rank))
  if (explain && page.explanation) text(explanationText(page.explanation, ({ rank }) => ranks.has(rank)))
}
