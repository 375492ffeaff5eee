/** A page of results as text: a table for people, JSON, and paths for other programs. */
import { isAbsolute, relative } from "node:path"
import { counted } from "../../core/counted.ts"
import { printable } from "../../core/printable.ts"
import { decimal } from "../../report/numbers.ts"
import { dividerPlace, type SearchHit, type SearchPage } from "../query/search-page.ts"
import type { CheckedHit, CheckedPage } from "./hit-files.ts"

export interface TableOptions {
  /** Paths below it are written relative to it. */
  readonly folder?: string
  /** How many of the weaker hits are shown; a line says how many are not. */
  readonly mostWeak?: number
}

/** Without a break at its end. */
export interface TableLine {
  readonly text: string
  /** Null: a title, the divider, or a remark. */
  readonly hit: CheckedHit | null
}

/**
 * A line of titles, a line for each hit, and a divider before the weaker ones. Where nothing is a match a line says so first, and
 * where nothing was found one says why.
 */
export function tableLines(
  page: CheckedPage,
  { folder, mostWeak = Number.POSITIVE_INFINITY }: TableOptions,
): TableLine[] {
  const { hits, matches } = page
  if (hits.length === 0) return [remark(emptyText(page))]
  const columns = columnsOf(hits)
  const lineOf = (hit: CheckedHit): TableLine => {
    const cells = columns.map(({ width, cell }) => cell(hit).padStart(width))
    return { text: hitText(cells, hit, folder), hit }
  }
  const weak = hits.slice(dividerPlace(hits))
  const shown = weak.slice(0, mostWeak)
  return [
    ...(matches === 0 ? [remark(noMatch)] : []),
    remark([...columns.map(({ title, width }) => title.padStart(width)), "path"].join("  ")),
    ...hits.slice(0, dividerPlace(hits)).map(lineOf),
    ...(weak.length > 0 ? [remark(dividerText(weak.length, weak.length - shown.length))] : []),
    ...shown.map(lineOf),
  ]
}

const noMatch = "no match: nothing rises above what this query finds by chance"

function emptyText({ pictures, filtered, searched }: CheckedPage): string {
  if (pictures === 0) return "no pictures: the index has none yet"
  if (filtered === 0) return `no pictures: the filters leave none of the index's ${pictures.toLocaleString("en")}`
  return searched === 0 ? "no other pictures" : noMatch
}

function remark(text: string): TableLine {
  return { text, hit: null }
}

/** "--- weaker matches: 8, 5 of them hidden ---" */
function dividerText(weak: number, hidden: number): string {
  const isHidden = hidden === weak ? "hidden" : `${hidden} of them hidden`
  return `--- weaker matches: ${weak}${hidden > 0 ? `, ${isHidden}` : ""} ---`
}

interface Column {
  readonly title: string
  readonly width: number
  readonly cell: (hit: SearchHit) => string
}

/** Numbers alone, whose width is known before the rows are; z and words where any hit has them. */
function columnsOf(hits: readonly SearchHit[]): Column[] {
  const rankWidth = Math.max("rank".length, String(hits.at(-1)!.rank).length)
  return [
    { title: "rank", width: rankWidth, cell: ({ rank }) => String(rank) },
    { title: "cosine", width: "-0.000".length, cell: ({ cosine }) => decimal(cosine, 3) },
    ...(hits.some(({ z }) => z !== null)
      ? [{ title: "z", width: "-00.0".length, cell: ({ z }: SearchHit) => (z === null ? "-" : decimal(z, 1)) }]
      : []),
    ...(hits.some(({ words }) => words?.matched.length)
      ? [
          { title: "words", width: "-0.000".length, cell: ({ words }: SearchHit) => words?.score.toFixed(3) ?? "-" },
          { title: "score", width: "-0.000".length, cell: ({ score }: SearchHit) => decimal(score, 3) },
        ]
      : []),
    ...(hits.some(({ verdict }) => verdict !== null)
      ? [{ title: "", width: "match".length, cell: ({ verdict }: SearchHit) => (verdict ?? "").padEnd("match".length) }]
      : []),
  ]
}

function hitText(cells: readonly string[], hit: CheckedHit, folder: string | undefined): string {
  const path = printable(shortPath(hit.paths[0]!, folder))
  const beside = [
    ...copiesTexts(hit),
    ...(hit.words?.matched.length ? [`words: ${hit.words.matched.map(printable).join(", ")}`] : []),
  ]
  const isGone = hit.missing.length === hit.paths.length
  return [
    ...cells,
    path,
    ...(beside.length > 0 ? [`(${beside.join("; ")})`] : []),
    ...(isGone ? ["[missing]"] : []),
  ].join("  ")
}

/** "2 copies", "1 copy is missing": files with the same bytes, beside the one that is named. */
function copiesTexts({ paths, missing }: CheckedHit): string[] {
  const isGone = missing.length === paths.length
  const copies = paths.length - 1 - (isGone ? 0 : missing.length)
  return [
    ...(copies > 0 ? [counted(copies, "copy", "copies")] : []),
    ...(missing.length > 0 && !isGone
      ? [`${counted(missing.length, "copy", "copies")} ${missing.length === 1 ? "is" : "are"} missing`]
      : []),
  ]
}

function shortPath(path: string, folder: string | undefined): string {
  if (folder === undefined) return path
  const below = relative(folder, path)
  return /^\.\.([\\/]|$)/.test(below) || isAbsolute(below) ? path : below
}

/**
 * One JSON object whose hits stand on a line each. Scores have seven digits, as float32 has.
 *
 * @param query how it was understood, for the record
 */
export function resultJson(page: CheckedPage, query?: string): string {
  const { hits, ...rest } = page
  const head = JSON.stringify({ ...(query !== undefined && { query }), ...rest }, null, 2).replace(/\n}$/, "")
  if (hits.length === 0) return `${head},\n  "hits": []\n}\n`
  return `${head},\n  "hits": [\n${hits.map((hit) => `    ${JSON.stringify(rounded(hit))}`).join(",\n")}\n  ]\n}\n`
}

function rounded(hit: CheckedHit): CheckedHit {
  return {
    ...hit,
    ...{ score: sevenDigits(hit.score), cosine: sevenDigits(hit.cosine) },
    z: hit.z === null ? null : sevenDigits(hit.z),
    words: hit.words && { ...hit.words, score: sevenDigits(hit.words.score) },
  }
}

function sevenDigits(value: number): number {
  return Number(value.toPrecision(7))
}

/**
 * The first path of each hit before the divider. Names are as they are: they may hold line breaks and control characters.
 *
 * @param end after each path: "\0" for `xargs -0`, "\n" for people
 */
export function resultPaths({ hits }: SearchPage, end: string): string {
  return hits
    .slice(0, dividerPlace(hits))
    .map(({ paths }) => paths[0]! + end)
    .join("")
}
