/** float16 and bfloat16, kept as their 16 bits in a Uint16Array, to and from float32. Rounding is to nearest even. */

export function bfloat16ToFloat32(bits: Uint16Array): Float32Array {
  const words = Uint32Array.from(bits, (half) => half << 16)
  return new Float32Array(words.buffer)
}

export function float32ToBfloat16(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length)
  return Uint16Array.from(words, (word, i) =>
    Number.isNaN(values[i]) ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16,
  )
}

export function float16ToFloat32(bits: Uint16Array): Float32Array {
  return Float32Array.from(bits, (half) => {
    const sign = half & 0x8000 ? -1 : 1
    const exponent = (half >>> 10) & 0x1f
    const fraction = half & 0x3ff
    if (exponent === 0) return sign * fraction * 2 ** -24
    if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
  })
}

export function float32ToFloat16(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length)
  return Uint16Array.from(words, (word) => ((word >>> 16) & 0x8000) | magnitudeToFloat16(word & 0x7fffffff))
}

/** `word`: a float32 without its sign. */
function magnitudeToFloat16(word: number): number {
  if (word > 0x7f800000) return 0x7e00
  const exponent = (word >>> 23) - 112
  if (exponent >= 31) return 0x7c00
  // Below 2^-14 the steps are all 2^-24 wide; the significand, 1 in front, is shifted to them.
  const [significand, shift] = exponent > 0 ? [word - (112 << 23), 13] : [(word & 0x7fffff) | 0x800000, 14 - exponent]
  return shift > 24 ? 0 : roundedShift(significand, shift)
}

function roundedShift(value: number, bits: number): number {
  const quotient = value >>> bits
  const rest = value & ((1 << bits) - 1)
  const half = 1 << (bits - 1)
  return quotient + (rest > half || (rest === half && quotient & 1) ? 1 : 0)
}
