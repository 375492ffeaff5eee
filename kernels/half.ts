/**
 * Products of float32 vectors with rows of float16 (src/search/scan/wasm-rows.ts). float16 is widened by integer arithmetic,
 * exactly; each row is summed in the same order wherever it is.
 */

/** The products of a query [dim] with rows [count, dim] of float16 -> target [count]. */
export function dotHalf(query: usize, rows: usize, dim: i32, count: i32, target: usize): void {
  const whole = dim & ~15
  for (let r = 0; r < count; r++, target += 4) {
    let s0 = f32x4.splat(0)
    let s1 = f32x4.splat(0)
    let s2 = f32x4.splat(0)
    let s3 = f32x4.splat(0)
    let q = query
    for (let i = 0; i < whole; i += 16, rows += 32, q += 64) {
      const a = v128.load(rows)
      const b = v128.load(rows, 16)
      s0 = f32x4.add(s0, f32x4.mul(widened(i32x4.extend_low_i16x8_u(a)), v128.load(q)))
      s1 = f32x4.add(s1, f32x4.mul(widened(i32x4.extend_high_i16x8_u(a)), v128.load(q, 16)))
      s2 = f32x4.add(s2, f32x4.mul(widened(i32x4.extend_low_i16x8_u(b)), v128.load(q, 32)))
      s3 = f32x4.add(s3, f32x4.mul(widened(i32x4.extend_high_i16x8_u(b)), v128.load(q, 48)))
    }
    const sums = f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3))
    let sum =
      f32x4.extract_lane(sums, 0) +
      f32x4.extract_lane(sums, 1) +
      (f32x4.extract_lane(sums, 2) + f32x4.extract_lane(sums, 3))
    for (let i = whole; i < dim; i++, rows += 2, q += 4) {
      const value = f32x4.extract_lane(widened(i32x4.splat(load<u16>(rows))), 0)
      sum += value * load<f32>(q)
    }
    store<f32>(target, sum)
  }
}

/** Four float16 numbers, as bits. A number below 2^-14 has no leading 1: it is made with one, which is taken away again. */
function widened(bits: v128): v128 {
  const shifted = i32x4.shl(v128.and(bits, i32x4.splat(0x7fff)), 13)
  const exponent = v128.and(shifted, i32x4.splat(0x0f800000))
  const isTop = i32x4.eq(exponent, i32x4.splat(0x0f800000))
  const isSmall = i32x4.eq(exponent, i32x4.splat(0))
  let word = i32x4.add(shifted, i32x4.splat(0x38000000))
  word = i32x4.add(word, v128.and(isTop, i32x4.splat(0x38000000)))
  word = i32x4.add(word, v128.and(isSmall, i32x4.splat(0x00800000)))
  const value = f32x4.sub(word, v128.and(isSmall, i32x4.splat(0x38800000)))
  return v128.or(value, i32x4.shl(v128.and(bits, i32x4.splat(0x8000)), 16))
}
