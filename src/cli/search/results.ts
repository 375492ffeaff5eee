/** A page of results in the form that was asked for. */
import type { FilterWords } from "../../search/query/parse/parse-filters.ts"
import type { SearchPage } from "../../search/query/search-page.ts"
import { checkFiles } from "../../search/show/hit-files.ts"
import { resultJson, resultPaths, tableLines } from "../../search/show/result-lines.ts"
import type { CommandContext } from "../context.ts"
import type { ProgressMode } from "../progress.ts"

export const pictureModeNames = ["auto", "kitty", "iterm", "sixel", "blocks", "none"] as const

export interface OutputOptions {
  readonly json?: true
  readonly print0?: true
  readonly explain?: true
  readonly weak?: number
  readonly sheet?: string
  readonly pictures?: (typeof pictureModeNames)[number]
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
  { json, print0, explain, weak = defaultWeak, sheet, pictures }: OutputOptions,
  to: Writing,
  say: (line: string) => void,
): Promise<void> {
  const page = checkFiles(found)
  if (sheet !== undefined) {
    const { writeSheet } = await import("../../search/show/write-sheet.ts")
    for (const note of await writeSheet(page, sheet, query)) say(note)
  }
  if (print0) {
    if (page.matches === 0) say("no match")
    return to.writeUnchanged(resultPaths(page, { end: "\0" }))
  }
  if (json) return to.writeOut?.(resultJson(page, query))
  const lines = tableLines(page, { folder: process.cwd(), mostWeak: weak })
  const protocol = pictures && (await import("../../search/show/terminal/choose-protocol.ts")).chooseProtocol(pictures)
  if (protocol) {
    const { writeWithPictures } = await import("../../search/show/terminal-pictures.ts")
    await writeWithPictures(lines, protocol, {
      text: (text) => to.writeOut?.(text),
      picture: (text) => to.writeUnchanged(text),
    })
  } else for (const { text } of lines) to.writeOut?.(`${text}\n`)
  if (explain && page.explanation) to.writeOut?.(explanationText(page.explanation))
  for (const note of page.notes) say(note)
  if (page.cursor !== null) say(`more: --cursor ${page.cursor}`)
}

function explanationText({ text, words, wordWeight, hits }: NonNullable<SearchPage["explanation"]>): string {
  const shares = words.map(({ word, weight }) => `${word} ${(weight * wordWeight).toFixed(3)}`)
  return [
    text,
    ...(shares.length > 0 ? [`Words add to the cosine: ${shares.join(", ")}.`] : []),
    ...hits.map(({ rank, cosine, words: own, score, terms, text: why }) => {
      const parts = terms.map(
        ({ term, weight, cosine: each }) => `${weight === 1 ? "" : `${weight} x `}${term} ${each.toFixed(3)}`,
      )
      const sum = own === null ? "" : ` + words ${own.toFixed(3)} = ${score.toFixed(3)}`
      return `${rank}: cosine ${cosine.toFixed(3)}${sum}; ${parts.join("; ")}. ${why}`
    }),
  ]
    .map((line) => `${line}\n`)
    .join("")
}
