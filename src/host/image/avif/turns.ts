/**
 * An AVIF file whose picture is not turned: libvips follows the properties that turn (`irot`) and mirror (`imir`) it, and
 * Pillow gives the pixels as they are stored, as for a JPEG.
 */
import { type Box, boxesBelow } from "../heif/boxes.ts"

/** The same file without turns; unchanged where it has none, or is damaged. */
export function withoutTurns(bytes: Uint8Array): Uint8Array {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const turns = [...boxesBelow(file, ["meta", "iprp", "ipco"])].filter(isTurn)
  if (turns.length === 0) return bytes
  const still = Buffer.from(file)
  // Items refer to properties by their number, so none is removed: a turn by no angle takes its place.
  for (const { start } of turns) still.write("irot\0", start - 4, "latin1")
  return still
}

/** Both have one byte, the angle or the axis. */
function isTurn({ type, start, end }: Box): boolean {
  return (type === "irot" || type === "imir") && end - start === 1
}
