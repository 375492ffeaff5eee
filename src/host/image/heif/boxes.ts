/** The boxes that an AVIF or HEIF file is made of, one in the other: ISO/IEC 14496-12 and 23008-12. */

interface Content {
  /** After the size and the type. */
  readonly start: number
  readonly end: number
}

export interface Box extends Content {
  readonly type: string
}

/** The boxes in the innermost of boxes that lie one in the other, as far as they are whole. */
export function boxesBelow(file: Buffer, path: readonly string[]): Generator<Box> {
  return within(file, path, { start: 0, end: file.length })
}

function* within(file: Buffer, [type, ...inner]: readonly string[], content: Content): Generator<Box> {
  if (type === undefined) return yield* boxesIn(file, content)
  for (const box of boxesIn(file, content)) {
    if (box.type === type) yield* within(file, inner, { start: box.start + leadingBytes(file, box), end: box.end })
  }
}

/** Bytes before the first box in this one. */
function leadingBytes(file: Buffer, { type, start }: Box): number {
  if (type === "meta") return 4
  return type === "iinf" ? (file[start] === 0 ? 6 : 8) : 0
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
