/**
 * Where pictures are on a contact sheet: rows of equally wide cells, each row as high as its highest picture, and a divider before
 * the row in which weaker matches begin.
 */

/** In pixels. */
export interface Size {
  readonly width: number
  readonly height: number
}

/** In pixels. */
export interface SheetLayout extends Size {
  readonly cellWidth: number
  readonly rows: readonly SheetRow[]
  /** Null where no hit is weaker. */
  readonly dividerTop: number | null
}

export interface SheetRow {
  readonly top: number
  /** The highest picture's; captions are below it. */
  readonly height: number
  /** The first hit of the row, and how many it has. */
  readonly first: number
  readonly count: number
}

export const gap = 12
/** Two lines below each picture. */
export const captionHeight = 36
export const dividerHeight = 34

/** More pictures are smaller ones: the memory of a sheet is that of its pixels. */
const grids = [
  { most: 12, columns: 4, width: 320, height: 240 },
  { most: 100, columns: 6, width: 240, height: 180 },
  { most: Number.POSITIVE_INFINITY, columns: 10, width: 160, height: 120 },
] as const

/** What captions, and the reason of a picture that cannot be read, need. */
const leastCell: Size = { width: 150, height: 32 }

/** @param sizes of the pictures, of which the first `before` stand before the divider */
export function layOut(sizes: readonly Size[], before: number): SheetLayout {
  const { columns, ...most } = grids.find((grid) => sizes.length <= grid.most)!
  const fitted = sizes.map((size) => fit(size, most))
  const cellWidth = largest(fitted, "width")
  const strong = rowsOf(fitted.slice(0, before), { top: gap, first: 0, columns })
  const below = bottomOf(strong) ?? gap
  const hasWeak = before < sizes.length
  const weak = rowsOf(fitted.slice(before), { top: below + dividerHeight, first: before, columns })
  return {
    width: gap + Math.min(columns, Math.max(before, sizes.length - before, 3)) * (cellWidth + gap),
    height: bottomOf(weak) ?? below,
    ...{ cellWidth, rows: [...strong, ...weak], dividerTop: hasWeak ? below : null },
  }
}

/** Made smaller to fit into `most`, never larger. */
function fit({ width, height }: Size, most: Size): Size {
  const scale = Math.min(1, most.width / width, most.height / height)
  return { width: Math.ceil(width * scale), height: Math.ceil(height * scale) }
}

function largest(sizes: readonly Size[], side: keyof Size): number {
  return sizes.reduce((most, size) => Math.max(most, size[side]), leastCell[side])
}

function rowsOf(
  sizes: readonly Size[],
  { top, first, columns }: { readonly top: number; readonly first: number; readonly columns: number },
): SheetRow[] {
  const rows: SheetRow[] = []
  for (let place = 0; place < sizes.length; place += columns) {
    const own = sizes.slice(place, place + columns)
    rows.push({ top: bottomOf(rows) ?? top, height: largest(own, "height"), first: first + place, count: own.length })
  }
  return rows
}

/** Below the last row's captions; null where there is no row. */
function bottomOf(rows: readonly SheetRow[]): number | null {
  const last = rows.at(-1)
  return last ? last.top + last.height + captionHeight + gap : null
}
