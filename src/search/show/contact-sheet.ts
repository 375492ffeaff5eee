/**
 * A page of results as one picture: a grid with rank, scores and name below each picture, and a divider before the weaker
 * matches. Text is drawn by libvips with the fonts of this machine; where there are none, it is left out and a note says so.
 */
import type { Sharp } from "sharp"
import { UserError } from "../../core/errors.ts"
import type { Image8 } from "../../core/image/pixels.ts"
import { mapOrdered } from "../../core/parallel.ts"
import { printable } from "../../core/printable.ts"
import { thumbnailPixels } from "../../host/image/thumbnail.ts"
import { Html, html } from "../../report/html.ts"
import { decimal } from "../../report/numbers.ts"
import { dividerPlace, type SearchHit, type SearchPage } from "../query/search-page.ts"
import { firstReadable, shortName } from "./hit-files.ts"
import {
  captionHeight,
  dividerHeight,
  gap,
  layOut,
  type SheetLayout,
  type SheetRow,
  type Size,
} from "./sheet-layout.ts"

export interface DrawnSheet {
  readonly file: Uint8Array
  /** Pictures that could not be read. */
  readonly unread: number
  /** What the sheet lacks, a line each. */
  readonly notes: readonly string[]
}

export type SheetFormat = "png" | "jpeg" | "webp"

/** The longest side that the format can have, in pixels. */
const longestSides: Readonly<Record<SheetFormat, number>> = { png: 2 ** 31 - 1, jpeg: 65_535, webp: 16_383 }

const colours = { paper: 255, empty: 238, ink: "#222", soft: "#777", weak: "#b4540a" }

/** Pictures that are decoded at the same time. */
const atOnce = 4

/** Takes the memory of the sheet's pixels and of four thumbnails. Throws UserError where the format cannot be so large. */
export async function drawSheet(page: SearchPage, format: SheetFormat): Promise<DrawnSheet> {
  const { hits } = page
  if (hits.length === 0) throw new UserError("there are no results for a contact sheet", "search without filters first")
  const layout = layOut(hits, dividerPlace(hits))
  requireSides(layout, format)
  const canvas = new Canvas(layout.width, layout.height)
  const reasons = await drawPictures(canvas, layout, hits)
  const hasText = await fontsRender()
  if (hasText) await drawTexts(canvas, layout, hits, reasons)
  else if (layout.dividerTop !== null) canvas.fill(0, layout.dividerTop + dividerHeight / 2, layout.width, 2, 120)
  return {
    file: await (await canvas.sharp())
      .toFormat(format, format === "png" ? { compressionLevel: 6 } : { quality: 85 })
      .toBuffer(),
    unread: reasons.size,
    notes: hasText
      ? []
      : ["this machine has no fonts: the sheet is without ranks, scores and names; a .html sheet has them"],
  }
}

function requireSides({ width, height }: SheetLayout, format: SheetFormat): void {
  const most = longestSides[format]
  if (Math.max(width, height) <= most) return
  throw new UserError(
    `a sheet of ${width} x ${height} pixels is too large for ${format.toUpperCase()}, which has at most ${most} on a side`,
    "write a .png or .html sheet, or fewer results (--limit)",
  )
}

/** RGB pixels that pictures are copied to. */
class Canvas {
  private readonly data: Uint8Array

  constructor(
    readonly width: number,
    readonly height: number,
  ) {
    this.data = new Uint8Array(width * height * 3).fill(colours.paper)
  }

  fill(left: number, top: number, width: number, height: number, gray: number): void {
    for (let y = top; y < top + height; y++) this.data.fill(gray, this.at(left, y), this.at(left + width, y))
  }

  paste({ width, height, data }: Image8, left: number, top: number): void {
    for (let y = 0; y < height; y++)
      this.data.set(data.subarray(y * width * 3, (y + 1) * width * 3), this.at(left, top + y))
  }

  async sharp(): Promise<Sharp> {
    const { default: sharp } = await import("sharp")
    return sharp(this.data, { raw: { width: this.width, height: this.height, channels: 3 }, limitInputPixels: false })
  }

  private at(x: number, y: number): number {
    return (y * this.width + x) * 3
  }
}

/** The reasons of those that cannot be read, by their places among the hits. */
async function drawPictures(canvas: Canvas, layout: SheetLayout, hits: readonly SearchHit[]) {
  const reasons = new Map<number, string>()
  const cells = layout.rows.flatMap((row) => cellsOf(row, layout))
  const read = ({ place, width, height }: Cell) =>
    firstReadable(hits[place]!.paths, (path) => thumbnailPixels(path, { width, height }))
  let cell = 0
  for await (const found of mapOrdered(cells, atOnce, read)) {
    const { left, top, width, height, place } = cells[cell++]!
    if ("reason" in found) {
      canvas.fill(left, top, width, height, colours.empty)
      reasons.set(place, found.reason)
    } else canvas.paste(found.value, left, top + height - found.value.height)
  }
  return reasons
}

/** Where the picture of a hit is. */
interface Cell extends Size {
  readonly left: number
  readonly top: number
  /** Among the hits. */
  readonly place: number
}

function cellsOf({ top, height, first, count }: SheetRow, { cellWidth: width }: SheetLayout): Cell[] {
  return Array.from({ length: count }, (_, i) => ({
    ...{ left: gap + i * (width + gap), top, width, height, place: first + i },
  }))
}

// ------------------------------------------------------------------------------------------------------ texts

/** Strips of a row each, so that the memory does not grow with them. */
async function drawTexts(
  canvas: Canvas,
  layout: SheetLayout,
  hits: readonly SearchHit[],
  reasons: ReadonlyMap<number, string>,
): Promise<void> {
  const { width, dividerTop } = layout
  for (const row of layout.rows) {
    const cells = cellsOf(row, layout)
    const captions = cells.map((cell) => caption(hits[cell.place]!, cell))
    canvas.paste(await rendered({ width, height: captionHeight }, captions, colours.paper), 0, row.top + row.height)
    for (const cell of cells) {
      const reason = reasons.get(cell.place)
      if (reason !== undefined) canvas.paste(await emptyCell(cell, reason), cell.left, cell.top)
    }
  }
  if (dividerTop !== null)
    canvas.paste(await rendered({ width, height: dividerHeight }, [divider(layout)], colours.paper), 0, dividerTop)
}

/** Two lines that end where the cell does. */
function caption(hit: SearchHit, { left, width }: Cell): Html {
  const { rank, cosine, z, verdict, paths } = hit
  const scores = `${rank}   ${decimal(cosine, 3)}${z === null ? "" : `   z ${decimal(z, 1)}`}`
  return html`<svg x="${left}" width="${width}" height="${captionHeight}">
<text x="0" y="14" font-size="12" font-weight="bold" fill="${verdict === "weak" ? colours.weak : colours.ink}">${scores}</text>
<text x="0" y="29" font-size="11" fill="${colours.soft}">${shortened(shortName(paths[0]!), width / 6.8)}</text></svg>`
}

function divider({ width, rows, dividerTop }: SheetLayout): Html {
  const middle = dividerHeight / 2 - 4
  const text = rows[0]!.top > dividerTop! ? "no match, weaker ones" : "weaker matches"
  return html`<rect x="0" y="${middle}" width="${width}" height="2" fill="${colours.weak}"/>
<rect x="${gap}" y="0" width="${10 * text.length}" height="${dividerHeight}" fill="white"/>
<text x="${gap + 6}" y="${middle + 6}" font-size="14" font-weight="bold" fill="${colours.weak}">${text}</text>`
}

function emptyCell({ width, height }: Size, reason: string): Promise<Image8> {
  const words = html`<path d="M0 0L${width} ${height}M${width} 0L0 ${height}" stroke="#ccc"/>
<text x="${width / 2}" y="${height / 2 + 4}" font-size="13" text-anchor="middle" fill="${colours.ink}">${shortened(reason, width / 7)}</text>`
  return rendered({ width, height }, [words], colours.empty)
}

/** The end of a name tells more than its middle. XML has no U+FFFE and U+FFFF. */
function shortened(text: string, most: number): string {
  const letters = [...printable(text).replaceAll(/[\ufffe\uffff]/g, "\ufffd")]
  if (letters.length <= most) return letters.join("")
  const kept = Math.max(2, Math.floor(most) - 1)
  const end = Math.floor(kept / 2)
  return `${letters.slice(0, kept - end).join("")}…${letters.slice(-end).join("")}`
}

async function rendered({ width, height }: Size, parts: readonly Html[], ground: number): Promise<Image8> {
  const { default: sharp } = await import("sharp")
  const svg = html`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">
<rect width="100%" height="100%" fill="rgb(${ground},${ground},${ground})"/>
<g font-family="DejaVu Sans, Arial, sans-serif" xml:space="preserve">${parts}</g></svg>`
  const pixels = sharp(Buffer.from(svg.text)).removeAlpha().toColourspace("srgb").raw()
  const { data } = await pixels.toBuffer({ resolveWithObject: true })
  return { width, height, channels: 3, data }
}

/** Whether two different letters are different pictures: without fonts they are empty, or the same box. */
async function fontsRender(): Promise<boolean> {
  const letter = (text: string) =>
    rendered({ width: 24, height: 24 }, [new Html(`<text x="2" y="18" font-size="16">${text}</text>`)], colours.paper)
  const [a, b] = await Promise.all(["M", "i"].map(letter))
  return Buffer.compare(Buffer.from(a!.data), Buffer.from(b!.data)) !== 0
}
