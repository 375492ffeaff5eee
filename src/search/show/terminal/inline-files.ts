/**
 * Encoded pictures as control sequences for terminals that decode them: the graphics protocol of kitty
 * (sw.kovidgoyal.net/kitty/graphics-protocol) and the inline images of iTerm2 (iterm2.com/documentation-images.html).
 */

/** In cells of the terminal. */
export interface CellSize {
  readonly columns: number
  readonly rows: number
}

/** The most base64 that kitty takes in a sequence. */
const kittyChunk = 4096

/** One sequence for each piece of a PNG file. The terminal is asked for no answer, which would be typed into the shell. */
export function kittySequences(png: Uint8Array, { columns, rows }: CellSize): string[] {
  const data = base64(png)
  const count = Math.ceil(data.length / kittyChunk)
  return Array.from({ length: count }, (_, i) => {
    const first = i === 0 ? `a=T,f=100,q=2,c=${columns},r=${rows},` : ""
    const chunk = data.slice(i * kittyChunk, (i + 1) * kittyChunk)
    return `\x1b_G${first}m=${i < count - 1 ? 1 : 0};${chunk}\x1b\\`
  })
}

/** A PNG or JPEG file. */
export function itermSequence(file: Uint8Array, { columns, rows }: CellSize): string {
  const keys = `inline=1;size=${file.length};width=${columns};height=${rows};preserveAspectRatio=1`
  return `\x1b]1337;File=${keys}:${base64(file)}\x07`
}

/** A sequence for the terminal around tmux, which passes it on under `set -g allow-passthrough on`. */
export function throughTmux(sequence: string): string {
  return `\x1bPtmux;${sequence.replaceAll("\x1b", "\x1b\x1b")}\x1b\\`
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64")
}
