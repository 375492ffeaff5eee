/**
 * The two passes of Pillow's resize (src/core/image/resize.ts says which inputs make an output). A weight w of 22 fractional
 * bits is split into w = high * 2^14 + low, both of 16 bits, because processors multiply and add two such pairs at
 * once; the sums are exact all the same. Weights come for two inputs at a time, as 4 shorts: high of the first and the
 * second, low of the first and the second. Inputs are read up to 16 bytes beyond their end, outputs written so too.
 */

const splitBits: i32 = 14
const fractionBits: i32 = 22
const half: i32 = 1 << (fractionBits - 1)

/**
 * `rows` rows of RGB pixels from `source` on, `stride` bytes apart -> rows of `length` pixels, `targetStride` bytes apart,
 * with one byte after the pixels that is not used.
 */
export function resizeColumns(
  source: usize,
  stride: usize,
  rows: i32,
  length: i32,
  target: usize,
  targetStride: usize,
  starts: usize,
  pairs: usize,
  weights: usize,
  weightStride: usize,
): void {
  for (let y = 0; y < rows; y += 2) {
    // The last row of an odd number is made twice, into the same place.
    const second = <usize>min(1, rows - y - 1)
    for (let o = 0; o < length; o++) {
      const from = source + <usize>load<i32>(starts + ((<usize>o) << 2)) * 3
      const weight = weights + <usize>o * weightStride
      const end = weight + ((<usize>load<i32>(pairs + ((<usize>o) << 2))) << 3)
      const values = sumTwo(from, from + second * stride, weight, end)
      // Four bytes each: the fourth is the next pixel's, or padding.
      const to = target + <usize>o * 3
      v128.store32_lane(to, values, 0)
      v128.store32_lane(to + second * targetStride, values, 1)
    }
    source += stride * 2
    target += targetStride * 2
  }
}

/** One output in two rows, whose inputs begin at the addresses: twice red, green, blue and 0. */
function sumTwo(upper: usize, lower: usize, weight: usize, end: usize): v128 {
  // Two pixels, r0 g0 b0 r1 g1 b1, as shorts r0 r1 g0 g1 b0 b1 0 0; an index of -128 gives 0.
  const byChannel = i8x16(0, -128, 3, -128, 1, -128, 4, -128, 2, -128, 5, -128, -128, -128, -128, -128)
  let upperHigh = i32x4.splat(0)
  let lowerHigh = i32x4.splat(0)
  let upperLow = i32x4.splat(half)
  let lowerLow = i32x4.splat(half)
  for (; weight < end; weight += 8) {
    const high = v128.load32_splat(weight)
    const low = v128.load32_splat(weight, 4)
    const above = i8x16.swizzle(v128.load64_zero(upper), byChannel)
    const below = i8x16.swizzle(v128.load64_zero(lower), byChannel)
    upperHigh = i32x4.add(upperHigh, i32x4.dot_i16x8_s(above, high))
    lowerHigh = i32x4.add(lowerHigh, i32x4.dot_i16x8_s(below, high))
    upperLow = i32x4.add(upperLow, i32x4.dot_i16x8_s(above, low))
    lowerLow = i32x4.add(lowerLow, i32x4.dot_i16x8_s(below, low))
    upper += 6
    lower += 6
  }
  const values = i16x8.narrow_i32x4_s(joined(upperHigh, upperLow), joined(lowerHigh, lowerLow))
  return i8x16.narrow_i16x8_u(values, values)
}

/**
 * `length` rows of `rowBytes` bytes, without gaps, each a sum of rows of `source`, `stride` bytes apart; neighbouring bytes have nothing to do with each
 * other, so 16 are summed at a time.
 */
export function resizeRows(
  source: usize,
  stride: usize,
  rowBytes: i32,
  length: i32,
  target: usize,
  starts: usize,
  pairs: usize,
  weights: usize,
  weightStride: usize,
): void {
  for (let o = 0; o < length; o++) {
    const from = source + <usize>load<i32>(starts + ((<usize>o) << 2)) * stride
    const first = weights + <usize>o * weightStride
    const end = first + ((<usize>load<i32>(pairs + ((<usize>o) << 2))) << 3)
    for (let x = 0; x < rowBytes; x += 16) sumRows(from + <usize>x, stride, first, end, target + <usize>x)
    target += <usize>rowBytes
  }
}

function sumRows(upper: usize, stride: usize, weight: usize, end: usize, target: usize): void {
  let high0 = i32x4.splat(0)
  let high1 = i32x4.splat(0)
  let high2 = i32x4.splat(0)
  let high3 = i32x4.splat(0)
  let low0 = i32x4.splat(half)
  let low1 = i32x4.splat(half)
  let low2 = i32x4.splat(half)
  let low3 = i32x4.splat(half)
  while (weight < end) {
    const above = v128.load(upper)
    const below = v128.load(upper + stride)
    const high = v128.load32_splat(weight)
    const low = v128.load32_splat(weight, 4)
    // a0 b0 a1 b1 ...: the two inputs of an output side by side.
    const left = i8x16.shuffle(above, below, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
    const right = i8x16.shuffle(above, below, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
    const part0 = i16x8.extend_low_i8x16_u(left)
    const part1 = i16x8.extend_high_i8x16_u(left)
    const part2 = i16x8.extend_low_i8x16_u(right)
    const part3 = i16x8.extend_high_i8x16_u(right)
    high0 = i32x4.add(high0, i32x4.dot_i16x8_s(part0, high))
    high1 = i32x4.add(high1, i32x4.dot_i16x8_s(part1, high))
    high2 = i32x4.add(high2, i32x4.dot_i16x8_s(part2, high))
    high3 = i32x4.add(high3, i32x4.dot_i16x8_s(part3, high))
    low0 = i32x4.add(low0, i32x4.dot_i16x8_s(part0, low))
    low1 = i32x4.add(low1, i32x4.dot_i16x8_s(part1, low))
    low2 = i32x4.add(low2, i32x4.dot_i16x8_s(part2, low))
    low3 = i32x4.add(low3, i32x4.dot_i16x8_s(part3, low))
    upper += stride << 1
    weight += 8
  }
  const left = i16x8.narrow_i32x4_s(joined(high0, low0), joined(high1, low1))
  const right = i16x8.narrow_i32x4_s(joined(high2, low2), joined(high3, low3))
  v128.store(target, i8x16.narrow_i16x8_u(left, right))
}

/** The rounded result from the sums for both halves of the weights. Narrowing to bytes cuts it to 0..255 later. */
function joined(high: v128, low: v128): v128 {
  return i32x4.shr_s(i32x4.add(i32x4.shl(high, splitBits), low), fractionBits)
}
