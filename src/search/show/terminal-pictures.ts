/** Pictures in a terminal: a file's thumbnail in the terminal's own protocol. */

import { UserError } from "../../core/errors.ts"
import type { TableLine } from "./result-lines.ts"
import { blockLines } from "./terminal/blocks.ts"
import type { PictureProtocol } from "./terminal/choose-protocol.ts"
import { type CellSize, itermSequence, kittySequences, throughTmux } from "./terminal/inline-files.ts"
import { sixelSequence } from "./terminal/sixel.ts"
import { thumbnail, thumbnailFile } from "./thumbnail.ts"

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
  switch (protocol.kind) {
    case "blocks": {
      const image = await thumbnail(path, { width: columns, height: rows * 2 })
      return blockLines(image, protocol.colours)
        .map((line) => `${line}\n`)
        .join("")
    }
    case "sixel": {
      const image = await thumbnail(path, { width: columns * cell.width, height: rows * cell.height })
      return `${sixelSequence(image)}\n`
    }
    case "kitty":
    case "iterm": {
      const size = { width: columns * cell.width, height: rows * cell.height }
      const png = await thumbnailFile(path, size, "png")
      const cells = cellsOf(png)
      const sequences = protocol.kind === "kitty" ? kittySequences(png, cells) : [itermSequence(png, cells)]
      return `${(protocol.isWrapped ? sequences.map(throughTmux) : sequences).join("")}\n`
    }
    default:
      return protocol satisfies never
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
    const picture = hit && (await firstPicture(hit.paths, protocol))
    if (picture !== null) write.picture(picture)
    write.text(`${text}${hit && picture === null ? "  (its picture cannot be read)" : ""}\n`)
  }
}

async function firstPicture(paths: readonly string[], protocol: PictureProtocol): Promise<string | null> {
  for (const path of paths) {
    try {
      return await terminalPicture(path, protocol)
    } catch (error) {
      if (!(error instanceof UserError)) throw error
    }
  }
  return null
}

/** The cells of a PNG file, whose size stands at a fixed place. */
function cellsOf(png: Uint8Array): CellSize {
  const view = new DataView(png.buffer, png.byteOffset)
  return {
    columns: Math.max(1, Math.round(view.getUint32(16) / cell.width)),
    rows: Math.max(1, Math.round(view.getUint32(20) / cell.height)),
  }
}
