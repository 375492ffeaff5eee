/**
 * An AVIF file whose picture is not turned: libvips follows the properties that turn (`irot`) and mirror (`imir`) it, and
 * Pillow gives the pixels as they are stored, as for a JPEG. Boxes: ISO/IEC 14496-12 and 23008-12.
 */

/** The same file without turns; unchanged where it has none, or is damaged. */
export function withoutTurns(bytes: Uint8Array): Uint8Array {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const turns = [...within(file, ["meta", "iprp", "ipco"], { start: 0, end: file.length })].filter(isTurn)
  if (turns.length === 0) return bytes
  const still = Buffer.from(file)
  // Items refer to properties by their number, so none is removed: a turn by no angle takes its place.
  for (const { start } of turns) still.write("irot\0", start - 4, "latin1")
  return still
}

interface Content {
  /** After the size and the type. */
  readonly start: number
  readonly end: number
}

interface Box extends Content {
  readonly type: string
}

/** Both have one byte, the angle or the axis. */
function isTurn({ type, start, end }: Box): boolean {
  return (type === "irot" || type === "imir") && end - start === 1
}

/** The boxes in the innermost of boxes that lie one in the other. */
function* within(file: Buffer, [type, ...inner]: readonly string[], content: Content): Generator<Box> {
  if (type === undefined) return yield* boxesIn(file, content)
  for (const box of boxesIn(file, content)) {
    if (box.type !== type) continue
    // `meta` begins with a version.
    const start = type === "meta" ? box.start + 4 : box.start
    yield* within(file, inner, { start, end: box.end })
  }
}

function* boxesIn(file: Buffer, { start, end }: Content): Generator<Box> {
  for (let at = start; at + 8 <= end; ) {
    const short = file.readUInt32BE(at)
    const head = short === 1 ? 16 : 8
    if (at + head > end) return
    // Without a size it goes on to the end.
    const size = short === 1 ? Number(file.readBigUInt64BE(at + 8)) : short || end - at
    if (size < head || at + size > end) return
    yield { type: file.toString("latin1", at + 4, at + 8), start: at + head, end: at + size }
    at += size
  }
}
