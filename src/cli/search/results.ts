/** A page of results in the form that was asked for. */
import { existsSync } from "node:fs"
import type { SearchHit, SearchPage } from "../../search/query/search-page.ts"
import { resultJson, resultPaths, tableLines } from "../../search/show/result-lines.ts"
import type { CommandContext } from "../context.ts"

export const pictureModeNames = ["auto", "kitty", "iterm", "sixel", "blocks", "none"] as const

export interface OutputOptions {
  readonly json?: true
  readonly print0?: true
  readonly explain?: true
  readonly weak?: number
  readonly sheet?: string
  readonly pictures?: (typeof pictureModeNames)[number]
}

export interface Writing extends Pick<CommandContext, "writeUnchanged"> {
  writeOut?(text: string): void
}

const defaultWeak = 5

export async function writePage(
  page: SearchPage,
  query: string,
  { json, print0, explain, weak = defaultWeak, sheet, pictures }: OutputOptions,
  to: Writing,
  say: (line: string) => void,
): Promise<void> {
  if (sheet !== undefined) {
    const { writeSheet } = await import("../../search/show/write-sheet.ts")
    for (const note of await writeSheet(page, sheet, query)) say(note)
  }
  if (print0) {
    if (page.matches === 0) say("no match")
    return to.writeUnchanged(resultPaths(page, { end: "\0" }))
  }
  if (json) return to.writeOut?.(resultJson(page, query))
  const lines = tableLines(page, { folder: process.cwd(), mostWeak: weak }).map(({ text, hit }) => ({
    text: hit && isMissing(hit) ? `${text}  [missing]` : text,
    hit,
  }))
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

function isMissing({ paths }: SearchHit): boolean {
  return !paths.some((path) => existsSync(path))
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
