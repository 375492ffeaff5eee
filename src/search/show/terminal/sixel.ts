/** Pixels as sixels (DEC STD 070): bands of six rows, in which each colour is drawn by characters whose six bits are a column. */
import type { Image8 } from "../../../core/image/pixels.ts"
import { paletteColour, toPalette } from "./palette.ts"

const bandHeight = 6

export function sixelSequence(image: Image8): string {
  const { width, height } = image
  const indices = toPalette(image)
  const colours = [...new Set(indices)].sort((a, b) => a - b)
  const registers = colours.map((colour) => `#${colour};2;${paletteColour(colour).map(toPercent).join(";")}`)
  const bands = Array.from({ length: Math.ceil(height / bandHeight) }, (_, band) =>
    bandText(indices, width, band * bandHeight, Math.min(height, (band + 1) * bandHeight)),
  )
  // The second parameter: pixels that are not drawn keep the background. Quotation marks: shape of a pixel, and the size.
  return `\x1bP0;1;0q"1;1;${width};${height}${registers.join("")}${bands.join("-")}\x1b\\`
}

function toPercent(share: number): number {
  return Math.round(100 * share)
}

/** Colours of the rows [top, bottom), each over the whole width. */
function bandText(indices: Uint8Array, width: number, top: number, bottom: number): string {
  const bits = new Map<number, Uint8Array>()
  for (let y = top; y < bottom; y++) {
    for (let x = 0; x < width; x++) {
      const colour = indices[y * width + x]!
      const columns = bits.get(colour) ?? new Uint8Array(width)
      bits.set(colour, columns)
      columns[x]! |= 1 << (y - top)
    }
  }
  return [...bits].map(([colour, columns]) => `#${colour}${runs(columns)}`).join("$")
}

/** "!5~" is five times "~". What is empty at the end is left out. */
function runs(columns: Uint8Array): string {
  let text = ""
  for (let from = 0; from < columns.length; ) {
    let to = from + 1
    while (to < columns.length && columns[to] === columns[from]) to++
    const character = String.fromCharCode(63 + columns[from]!)
    const isEmptyEnd = to === columns.length && columns[from] === 0
    if (!isEmptyEnd) text += to - from > 3 ? `!${to - from}${character}` : character.repeat(to - from)
    from = to
  }
  return text
}
