/** Pixels as text: an upper half block in each cell, whose colour is the upper pixel and whose background is the lower one. */
import type { Image8 } from "../../../core/image/pixels.ts"

/** Lines without a break at the end; the pixels are as wide as the terminal's columns. An odd last row has no background. */
export function blockLines({ width, height, data }: Image8, colours: "all" | 256): string[] {
  const colourAt = (x: number, y: number) => {
    const at = (y * width + x) * 3
    return colourCode(data[at]!, data[at + 1]!, data[at + 2]!, colours)
  }
  return Array.from({ length: Math.ceil(height / 2) }, (_, row) => {
    let [line, above, below] = ["", "", ""]
    for (let x = 0; x < width; x++) {
      const top = `38;${colourAt(x, 2 * row)}`
      const bottom = 2 * row + 1 < height ? `48;${colourAt(x, 2 * row + 1)}` : "49"
      const changed = [...(top === above ? [] : [top]), ...(bottom === below ? [] : [bottom])]
      line += `${changed.length > 0 ? `\x1b[${changed.join(";")}m` : ""}▀`
      ;[above, below] = [top, bottom]
    }
    return `${line}\x1b[0m`
  })
}

function colourCode(r: number, g: number, b: number, colours: "all" | 256): string {
  return colours === "all" ? `2;${r};${g};${b}` : `5;${nearestOf256(r, g, b)}`
}

const cubeLevels = [0, 95, 135, 175, 215, 255]

/** xterm's numbers: 16 to 231 are a cube, 232 to 255 grays from 8 to 238. */
function nearestOf256(r: number, g: number, b: number): number {
  const places = [r, g, b].map(nearestLevel)
  const gray = Math.min(23, Math.max(0, Math.round(((r + g + b) / 3 - 8) / 10)))
  const cube = places.map((place) => cubeLevels[place]!)
  const off = (other: readonly number[]) => (r - other[0]!) ** 2 + (g - other[1]!) ** 2 + (b - other[2]!) ** 2
  const level = 8 + 10 * gray
  return off([level, level, level]) < off(cube) ? 232 + gray : 16 + 36 * places[0]! + 6 * places[1]! + places[2]!
}

function nearestLevel(value: number): number {
  let best = 0
  for (const [place, level] of cubeLevels.entries())
    if (Math.abs(level - value) < Math.abs(cubeLevels[best]! - value)) best = place
  return best
}
