/** Products of the rows of two matrices, block by block: what they make is never in memory at once. */
import type { Kernels } from "./kernels.ts"

/** Rows and columns of a block; both fill tiles of 4 and 8, and what they take stays in a processor's second cache. */
const [blockRows, blockColumns] = [256, 512] as const
const [tileRows, tileColumns] = [4, 8] as const

/** Products [rows, columns] from (firstRow, firstColumn) on, in the kernels' memory until the next block. */
interface ProductBlock {
  /** Address of the first product. */
  readonly products: number
  readonly rows: number
  readonly columns: number
  /** Products from one row to the next. */
  readonly stride: number
  readonly firstRow: number
  readonly firstColumn: number
}

/**
 * The dot products of all rows of `left` [N, width] with all rows of `right` [M, width], in float32. A product of the same
 * two vectors is the same number in every block.
 */
export function eachProductBlock(
  kernels: Kernels,
  left: Float32Array,
  right: Float32Array,
  width: number,
  visit: (block: ProductBlock) => void,
): void {
  const [n, m] = [left.length / width, right.length / width]
  const [mostRows, mostColumns] = [Math.min(n, blockRows), Math.min(m, blockColumns)]
  const loose = kernels.reserve(Math.max(mostRows, mostColumns) * width * 4)
  const rowPanels = kernels.reserve(filled(mostRows, tileRows) * width * 4)
  const columnPanels = kernels.reserve(filled(mostColumns, tileColumns) * width * 4)
  const products = kernels.reserve(filled(mostRows, tileRows) * filled(mostColumns, tileColumns) * 4)
  const pack = (matrix: Float32Array, first: number, rows: number, tile: number, target: number) => {
    kernels.float32(loose, rows * width).set(matrix.subarray(first * width, (first + rows) * width))
    kernels.run.packPanels(loose, rows, width, tile, target)
  }
  for (let firstColumn = 0; firstColumn < m; firstColumn += blockColumns) {
    const columns = Math.min(blockColumns, m - firstColumn)
    const stride = filled(columns, tileColumns)
    pack(right, firstColumn, columns, tileColumns, columnPanels)
    for (let firstRow = 0; firstRow < n; firstRow += blockRows) {
      const rows = Math.min(blockRows, n - firstRow)
      pack(left, firstRow, rows, tileRows, rowPanels)
      kernels.run.multiplyPanels(
        ...([rowPanels, Math.ceil(rows / tileRows), columnPanels, stride / tileColumns, width, products] as const),
      )
      visit({ products, rows, columns, stride, firstRow, firstColumn })
    }
  }
}

/** The product of each row of `right` [M, width] with its row of `left`, `rowOf[i]`: the same numbers as in blocks. -> [M] */
export function pairProducts(
  kernels: Kernels,
  left: Float32Array,
  right: Float32Array,
  width: number,
  rowOf: ArrayLike<number>,
): Float32Array {
  const pairs = rowOf.length
  const result = new Float32Array(pairs)
  const bytes = Math.min(pairs, blockColumns) * width * 4
  const [a, b, products] = [kernels.reserve(bytes), kernels.reserve(bytes), kernels.reserve(blockColumns * 4)]
  for (let first = 0; first < pairs; first += blockColumns) {
    const count = Math.min(blockColumns, pairs - first)
    const rows = kernels.float32(a, count * width)
    for (let i = 0; i < count; i++) {
      const row = rowOf[first + i]!
      rows.set(left.subarray(row * width, (row + 1) * width), i * width)
    }
    kernels.float32(b, count * width).set(right.subarray(first * width, (first + count) * width))
    kernels.run.multiplyPairs(a, b, count, width, products)
    result.set(kernels.float32(products, count), first)
  }
  return result
}

function filled(count: number, tile: number): number {
  return Math.ceil(count / tile) * tile
}
