/** Where pictures are on a contact sheet: rows of equal cells, and a divider before the row in which weaker matches begin. */

/** In pixels. */
export interface SheetLayout {
  readonly width: number
  readonly height: number
  readonly cell: { readonly width: number; readonly height: number }
  readonly rows: readonly SheetRow[]
  /** Top of the divider; null where one kind of hits is absent. */
  readonly dividerTop: number | null
}

export interface SheetRow {
  readonly top: number
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

export function layOut(matches: number, weak: number): SheetLayout {
  const { columns, width, height } = grids.find(({ most }) => matches + weak <= most)!
  const rowHeight = height + captionHeight + gap
  const strongRows = rowsOf(gap, 0, matches, columns, rowHeight)
  const below = gap + strongRows.length * rowHeight
  const dividerTop = weak > 0 ? below : null
  const weakRows = rowsOf(below + dividerHeight, matches, weak, columns, rowHeight)
  return {
    width: gap + Math.min(columns, Math.max(matches, weak, 3)) * (width + gap),
    height: below + (weak > 0 ? dividerHeight : 0) + weakRows.length * rowHeight,
    ...{ cell: { width, height }, rows: [...strongRows, ...weakRows], dividerTop },
  }
}

function rowsOf(top: number, first: number, count: number, columns: number, rowHeight: number): SheetRow[] {
  return Array.from({ length: Math.ceil(count / columns) }, (_, row) => ({
    top: top + row * rowHeight,
    first: first + row * columns,
    count: Math.min(columns, count - row * columns),
  }))
}
