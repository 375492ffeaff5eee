/**
 * The inner loops of augmentation (src/data/augment says what they compute) on RGB pixels without gaps. Pixels are read
 * up to 16 bytes beyond their end, and written so too; `target` must not overlap `source`.
 */

/** Each byte becomes what its channel's table of 256 says; in place. */
export function lookUp(pixels: usize, count: i32, tables: usize): void {
  const end = pixels + <usize>count * 3
  for (; pixels < end; pixels += 3) {
    store<u8>(pixels, load<u8>(tables + <usize>load<u8>(pixels)))
    store<u8>(pixels, load<u8>(tables + <usize>load<u8>(pixels, 1), 256), 1)
    store<u8>(pixels, load<u8>(tables + <usize>load<u8>(pixels, 2), 512), 2)
  }
}

/** [count, 3] bytes -> [3, count] floats: each byte becomes what its channel's table of 256 floats says. */
export function lookUpFloats(pixels: usize, count: i32, tables: usize, target: usize): void {
  const end = pixels + <usize>count * 3
  const plane = (<usize>count) << 2
  for (; pixels < end; pixels += 3, target += 4) {
    store<f32>(target, load<f32>(tables + ((<usize>load<u8>(pixels)) << 2)))
    store<f32>(target + plane, load<f32>(tables + ((<usize>load<u8>(pixels, 1)) << 2), 1024))
    store<f32>(target + (plane << 1), load<f32>(tables + ((<usize>load<u8>(pixels, 2)) << 2), 2048))
  }
}

/**
 * Adds the pixels to the histograms, 256 counts per channel. Neighbours are mostly alike, and a count waits for the one
 * before: pixels at odd positions are counted in `histograms + 3072`, which the caller adds up.
 */
export function countValues(pixels: usize, count: i32, histograms: usize): void {
  for (let i = 0; i < count; i++, pixels += 3) {
    const counts = histograms + <usize>(i & 1) * 3072
    increment(counts + ((<usize>load<u8>(pixels)) << 2))
    increment(counts + ((<usize>load<u8>(pixels, 1)) << 2) + 1024)
    increment(counts + ((<usize>load<u8>(pixels, 2)) << 2) + 2048)
  }
}

function increment(count: usize): void {
  store<u32>(count, load<u32>(count) + 1)
}

/** Pillow's gray of 4 pixels, from their channels. */
function gray(red: v128, green: v128, blue: v128): v128 {
  const sum = i32x4.add(i32x4.mul(red, i32x4.splat(19595)), i32x4.mul(green, i32x4.splat(38470)))
  const all = i32x4.add(sum, i32x4.mul(blue, i32x4.splat(7471)))
  return i32x4.shr_u(i32x4.add(all, i32x4.splat(32768)), 16)
}

/** Which of 12 bytes are a channel of 4 pixels, as the lowest bytes of 4 numbers; an index of -128 gives 0. */
const reds: v128 = i8x16(0, -128, -128, -128, 3, -128, -128, -128, 6, -128, -128, -128, 9, -128, -128, -128)
const greens: v128 = i8x16(1, -128, -128, -128, 4, -128, -128, -128, 7, -128, -128, -128, 10, -128, -128, -128)
const blues: v128 = i8x16(2, -128, -128, -128, 5, -128, -128, -128, 8, -128, -128, -128, 11, -128, -128, -128)
/** 4 reds, 4 greens and 4 blues, followed by 4 other bytes, as pixels. */
const interleaved: v128 = i8x16(0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11, -128, -128, -128, -128)

/** The sum of the pixels' gray values. */
export function sumGray(pixels: usize, count: i32): i64 {
  let sum: i64 = 0
  let i = 0
  for (; i + 4 <= count; i += 4, pixels += 12) {
    const bytes = v128.load(pixels)
    const values = gray(i8x16.swizzle(bytes, reds), i8x16.swizzle(bytes, greens), i8x16.swizzle(bytes, blues))
    const pairs = i64x2.add(i64x2.extend_low_i32x4_u(values), i64x2.extend_high_i32x4_u(values))
    sum += i64x2.extract_lane(pairs, 0) + i64x2.extract_lane(pairs, 1)
  }
  for (; i < count; i++, pixels += 3) {
    sum +=
      (<i64>load<u8>(pixels) * 19595 + <i64>load<u8>(pixels, 1) * 38470 + <i64>load<u8>(pixels, 2) * 7471 + 32768) >> 16
  }
  return sum
}

/** Between gray and the colours, or beyond: gray + factor * (value - gray), cut off to a byte. */
export function blendGray(source: usize, count: i32, factor: f32, target: usize): void {
  for (let i = 0; i < count; i += 4, source += 12, target += 12) {
    const bytes = v128.load(source)
    const red = i8x16.swizzle(bytes, reds)
    const green = i8x16.swizzle(bytes, greens)
    const blue = i8x16.swizzle(bytes, blues)
    const from = gray(red, green, blue)
    const redGreen = i16x8.narrow_i32x4_s(blended(from, red, factor), blended(from, green, factor))
    const blueOnly = i16x8.narrow_i32x4_s(blended(from, blue, factor), i32x4.splat(0))
    v128.store(target, i8x16.swizzle(i8x16.narrow_i16x8_u(redGreen, blueOnly), interleaved))
  }
}

function blended(from: v128, value: v128, factor: f32): v128 {
  const difference = f32x4.convert_i32x4_s(i32x4.sub(value, from))
  const sum = f32x4.add(f32x4.convert_i32x4_s(from), f32x4.mul(f32x4.splat(factor), difference))
  return i32x4.trunc_sat_f32x4_s(sum)
}

/**
 * Between the picture smoothed (3 x 3, the middle 5 times) and itself, or beyond. Pixels at the border are not smoothed.
 */
export function sharpen(source: usize, width: i32, height: i32, factor: f32, target: usize): void {
  const stride = <usize>width * 3
  memory.copy(target, source, stride * <usize>height)
  // The last bytes of a row that do not fill 8 are written over what follows, which is repaired after it.
  for (let y = 1; y < height - 1; y++) {
    const row = source + <usize>y * stride
    const to = target + <usize>y * stride
    for (let x: usize = 3; x + 3 < stride; x += 8) sharpenBytes(row + x, stride, factor, to + x)
    memory.copy(to + stride - 3, row + stride - 3, 3)
    memory.copy(to + stride, row + stride, 16)
  }
}

function sharpenBytes(at: usize, stride: usize, factor: f32, target: usize): void {
  const values = at8(at)
  const sides = i16x8.add(at8(at - 3), at8(at + 3))
  const center = i16x8.add(values, i16x8.shl(values, 2))
  const sum = i16x8.add(i16x8.add(sides, center), i16x8.add(three(at - stride), three(at + stride)))
  const left = sharpened(i32x4.extend_low_i16x8_u(sum), i32x4.extend_low_i16x8_u(values), factor)
  const right = sharpened(i32x4.extend_high_i16x8_u(sum), i32x4.extend_high_i16x8_u(values), factor)
  const shorts = i16x8.narrow_i32x4_s(left, right)
  v128.store64_lane(target, i8x16.narrow_i16x8_u(shorts, shorts), 0)
}

function at8(address: usize): v128 {
  return i16x8.extend_low_i8x16_u(v128.load64_zero(address))
}

function three(at: usize): v128 {
  return i16x8.add(i16x8.add(at8(at - 3), at8(at)), at8(at + 3))
}

/** `sum` of 13 weights: its mean is never halfway between two whole numbers, so a float is exact enough to round it. */
function sharpened(sum: v128, value: v128, factor: f32): v128 {
  const mean = f32x4.mul(f32x4.convert_i32x4_s(sum), f32x4.splat(1 / 13))
  const smooth = i32x4.trunc_sat_f32x4_s(f32x4.add(mean, f32x4.splat(0.5)))
  return blended(smooth, value, factor)
}

/** For each pixel the source at (a2 + a0 x + a1 y, a5 + a3 x + a4 y), of 16 fractional bits; black outside. */
export function moveFixed(
  source: usize,
  width: i32,
  height: i32,
  target: usize,
  a0: i32,
  a1: i32,
  a2: i32,
  a3: i32,
  a4: i32,
  a5: i32,
): void {
  const inRows = a0 === 65536 && a3 === 0
  for (let y = 0; y < height; y++) {
    let fromX = a2
    let fromY = a5
    if (inRows) {
      copyRow(source, width, height, fromX >> 16, fromY >> 16, target)
      target += <usize>width * 3
    }
    for (let x = 0; x < width && !inRows; x++) {
      store<u32>(target, pixelAt(source, width, height, fromX >> 16, fromY >> 16))
      target += 3
      fromX += a0
      fromY += a3
    }
    a2 += a1
    a5 += a4
  }
}

/** All pixels moved to the left and up, black where there are none. */
export function shift(source: usize, width: i32, height: i32, target: usize, left: i32, up: i32): void {
  for (let y = 0; y < height; y++) copyRow(source, width, height, left, y + up, target + <usize>(y * width) * 3)
}

/** Row `fromY` from `fromX` on, where it exists. */
function copyRow(source: usize, width: i32, height: i32, fromX: i32, fromY: i32, target: usize): void {
  const first = min(max(-fromX, 0), width)
  const end = max(min(width - fromX, width), first)
  if (fromY < 0 || fromY >= height || first === end) {
    memory.fill(target, 0, <usize>width * 3)
    return
  }
  memory.fill(target, 0, <usize>first * 3)
  memory.copy(target + <usize>first * 3, source + <usize>(fromY * width + fromX + first) * 3, <usize>(end - first) * 3)
  memory.fill(target + <usize>end * 3, 0, <usize>(width - end) * 3)
}

/** The same in doubles, cut off to whole pixels. */
export function moveFloat(
  source: usize,
  width: i32,
  height: i32,
  target: usize,
  a0: f64,
  a1: f64,
  a2: f64,
  a3: f64,
  a4: f64,
  a5: f64,
): void {
  for (let y = 0; y < height; y++) {
    let fromX = a2
    let fromY = a5
    for (let x = 0; x < width; x++) {
      store<u32>(target, pixelAt(source, width, height, toPixel(fromX), toPixel(fromY)))
      target += 3
      fromX += a0
      fromY += a3
    }
    a2 += a1
    a5 += a4
  }
}

function toPixel(coordinate: f64): i32 {
  return coordinate >= 0 && coordinate < 2147483648 ? <i32>coordinate : -1
}

/** Three bytes of the pixel and one that the next one replaces; 0 where there is none. */
function pixelAt(source: usize, width: i32, height: i32, x: i32, y: i32): u32 {
  const inside = <u32>x < <u32>width && <u32>y < <u32>height
  return inside ? load<u32>(source + <usize>(y * width + x) * 3) : 0
}
