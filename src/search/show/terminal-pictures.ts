/** Pictures in a terminal: a file's thumbnail in the terminal's own protocol. */
import type { Image8 } from "../../core/image/pixels.ts"
import { thumbnailPixels } from "../../host/image/thumbnail.ts"
import { firstReadable } from "./hit-files.ts"
import type { TableLine } from "./result-lines.ts"
import { blockLines } from "./terminal/blocks.ts"
import type { PictureProtocol } from "./terminal/choose-protocol.ts"
import { type CellSize, itermSequence, kittySequences, throughTmux } from "./terminal/inline-files.ts"
import { sixelSequence } from "./terminal/sixel.ts"

/** What a cell is taken for where the terminal does not say: most fonts are twice as high as wide. */
const cell = { width: 10, height: 20 }

/** The cells that a picture takes at most. */
const mostCells: CellSize = { columns: 40, rows: 12 }

/**
 * The picture as control sequences and lines, with a line break at the end. They are not to be made printable; nothing of the
 * file but its pixels is in them.
 *
 * @throws UserError where the file cannot be read
 */
export async function terminalPicture(
  path: string,
  protocol: PictureProtocol,
  { columns, rows }: CellSize = mostCells,
): Promise<string> {
  if (protocol.kind === "blocks") {
    const image = await thumbnailPixels(path, { width: columns, height: rows * 2 })
    return linesOf(blockLines(image, protocol.colours))
  }
  const image = await thumbnailPixels(path, { width: columns * cell.width, height: rows * cell.height })
  if (protocol.kind === "sixel") return linesOf([sixelSequence(image)])
  const png = await pngOf(image)
  const sequences =
    protocol.kind === "kitty" ? kittySequences(png, cellsOf(image)) : [itermSequence(png, cellsOf(image))]
  return linesOf([(protocol.isWrapped ? sequences.map(throughTmux) : sequences).join("")])
}

function linesOf(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join("")
}

async function pngOf({ width, height, channels, data }: Image8): Promise<Uint8Array> {
  const { default: sharp } = await import("sharp")
  return sharp(data, { raw: { width, height, channels } }).png().toBuffer()
}

function cellsOf({ width, height }: Image8): CellSize {
  return {
    columns: Math.max(1, Math.round(width / cell.width)),
    rows: Math.max(1, Math.round(height / cell.height)),
  }
}

interface PictureWriter {
  /** Text of ours and of others: to be made printable. */
  text(text: string): void
  /** What `terminalPicture` gives: as it is. */
  picture(sequences: string): void
}

/** Lines of a table, each after its picture; a hit whose files cannot be read has its line alone. */
export async function writeWithPictures(
  lines: readonly TableLine[],
  protocol: PictureProtocol,
  write: PictureWriter,
): Promise<void> {
  for (const { text, hit } of lines) {
    const found = hit && (await firstReadable(hit.paths, (path) => terminalPicture(path, protocol)))
    if (found && "value" in found) write.picture(found.value)
    const isUnread = found && "reason" in found && hit.missing.length < hit.paths.length
    write.text(`${text}${isUnread ? "  (its picture cannot be read)" : ""}\n`)
  }
}
