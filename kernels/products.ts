/**
 * Products of two matrices [rows, width] in blocks, and ranks in them (src/core/kernels/products.ts). Matrices are packed into
 * panels, the 4 rows or 8 columns of a tile side by side, so that the inner loop reads memory in order. Each product is
 * summed in the same order wherever it is in a block: equal vectors have equal products.
 */

/** Products are summed in parts of so many factors, which rounds less than one long sum. */
const part: i32 = 256

/** Rows [rows, width] -> panels [ceil(rows / tile), width, tile]; rows that fill up the last panel are zero. */
export function packPanels(source: usize, rows: i32, width: i32, tile: i32, target: usize): void {
  for (let first = 0; first < rows; first += tile) {
    for (let lane = 0; lane < tile; lane++) {
      const row = first + lane
      let to = target + ((<usize>lane) << 2)
      if (row < rows) {
        let from = source + ((<usize>row * width) << 2)
        for (let k = 0; k < width; k++, from += 4, to += (<usize>tile) << 2) store<f32>(to, load<f32>(from))
      } else {
        for (let k = 0; k < width; k++, to += (<usize>tile) << 2) store<f32>(to, 0)
      }
    }
    target += (<usize>(tile * width)) << 2
  }
}

/** Panels of 4 rows and of 8 columns -> products [4 * rowPanels, 8 * columnPanels]. */
export function multiplyPanels(
  rows: usize,
  rowPanels: i32,
  columns: usize,
  columnPanels: i32,
  width: i32,
  target: usize,
): void {
  const stride = (<usize>columnPanels) << 5
  for (let j = 0; j < columnPanels; j++) {
    const panel = columns + (((<usize>j * width) << 3) << 2)
    for (let i = 0; i < rowPanels; i++) {
      multiplyTile(
        rows + (((<usize>i * width) << 2) << 2),
        panel,
        width,
        target + ((<usize>i) << 2) * stride + ((<usize>j) << 5),
        stride,
      )
    }
  }
}

/** One tile [4, 8] of products. */
function multiplyTile(a: usize, b: usize, width: i32, target: usize, stride: usize): void {
  for (let start = 0; start < width; start += part) {
    const count = min(part, width - start)
    const end = b + ((<usize>count) << 5)
    let s00 = f32x4.splat(0)
    let s01 = f32x4.splat(0)
    let s10 = f32x4.splat(0)
    let s11 = f32x4.splat(0)
    let s20 = f32x4.splat(0)
    let s21 = f32x4.splat(0)
    let s30 = f32x4.splat(0)
    let s31 = f32x4.splat(0)
    for (; b < end; a += 16, b += 32) {
      const b0 = v128.load(b)
      const b1 = v128.load(b, 16)
      const a0 = v128.load32_splat(a)
      s00 = f32x4.add(s00, f32x4.mul(a0, b0))
      s01 = f32x4.add(s01, f32x4.mul(a0, b1))
      const a1 = v128.load32_splat(a, 4)
      s10 = f32x4.add(s10, f32x4.mul(a1, b0))
      s11 = f32x4.add(s11, f32x4.mul(a1, b1))
      const a2 = v128.load32_splat(a, 8)
      s20 = f32x4.add(s20, f32x4.mul(a2, b0))
      s21 = f32x4.add(s21, f32x4.mul(a2, b1))
      const a3 = v128.load32_splat(a, 12)
      s30 = f32x4.add(s30, f32x4.mul(a3, b0))
      s31 = f32x4.add(s31, f32x4.mul(a3, b1))
    }
    const isFirst = start === 0
    keep(target, isFirst, s00, s01)
    keep(target + stride, isFirst, s10, s11)
    keep(target + (stride << 1), isFirst, s20, s21)
    keep(target + stride * 3, isFirst, s30, s31)
  }
}

function keep(target: usize, isFirst: bool, left: v128, right: v128): void {
  v128.store(target, isFirst ? left : f32x4.add(v128.load(target), left))
  v128.store(target, isFirst ? right : f32x4.add(v128.load(target, 16), right), 16)
}

/** Products of pairs of rows [pairs, width], each the same float as in a block. */
export function multiplyPairs(a: usize, b: usize, pairs: i32, width: i32, target: usize): void {
  for (let i = 0; i < pairs; i++, target += 4) {
    let total: f32 = 0
    for (let start = 0; start < width; start += part) {
      const count = min(part, width - start)
      let sum: f32 = 0
      for (let k = 0; k < count; k++, a += 4, b += 4) sum += load<f32>(a) * load<f32>(b)
      total = start === 0 ? sum : total + sum
    }
    store<f32>(target, total)
  }
}

/**
 * Adds to the ranks of a match for each row and for each column of products [rows, stride], of which the first `columns`
 * count: how many products are larger than the match's, or equal and earlier. `rowScores` and `rowMatches` are the product
 * and the column of each row's match, counted from the whole matrix as `firstColumn` is; those of columns likewise. Numbers
 * of columns are read and written up to the next multiple of 4.
 */
export function addRanks(
  products: usize,
  rows: i32,
  columns: i32,
  stride: i32,
  firstRow: i32,
  firstColumn: i32,
  rowScores: usize,
  rowMatches: usize,
  rowRanks: usize,
  columnScores: usize,
  columnMatches: usize,
  columnRanks: usize,
): void {
  for (let i = 0; i < rows; i++) {
    const at = (<usize>i) << 2
    const score = v128.load32_splat(rowScores + at)
    const match = v128.load32_splat(rowMatches + at)
    const row = i32x4.splat(firstRow + i)
    let counts = i32x4.splat(0)
    let column = i32x4.add(i32x4.splat(firstColumn), i32x4(0, 1, 2, 3))
    const end = i32x4.splat(firstColumn + columns)
    const line = products + ((<usize>i * stride) << 2)
    for (let offset: usize = 0; offset < (<usize>columns) << 2; offset += 16) {
      const values = v128.load(line + offset)
      const above = v128.and(isAbove(values, score, column, match), i32x4.lt_s(column, end))
      counts = i32x4.sub(counts, above)
      const ranks = v128.load(columnRanks + offset)
      const found = isAbove(values, v128.load(columnScores + offset), row, v128.load(columnMatches + offset))
      v128.store(columnRanks + offset, i32x4.sub(ranks, found))
      column = i32x4.add(column, i32x4.splat(4))
    }
    const sum =
      i32x4.extract_lane(counts, 0) +
      i32x4.extract_lane(counts, 1) +
      i32x4.extract_lane(counts, 2) +
      i32x4.extract_lane(counts, 3)
    store<i32>(rowRanks + at, load<i32>(rowRanks + at) + sum)
  }
}

function isAbove(values: v128, score: v128, place: v128, match: v128): v128 {
  return v128.or(f32x4.gt(values, score), v128.and(f32x4.eq(values, score), i32x4.lt_s(place, match)))
}
