/** float16 and bfloat16, kept as their 16 bits in a Uint16Array, to and from float32. Rounding is to nearest even. */

export function bfloat16ToFloat32(bits: Uint16Array): Float32Array {
  const words = new Uint32Array(bits.length)
  for (let i = 0; i < bits.length; i++) words[i] = bits[i]! << 16
  return new Float32Array(words.buffer)
}

export function float32ToBfloat16(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const bits = new Uint16Array(values.length)
  for (let i = 0; i < bits.length; i++) {
    const word = words[i]!
    const isNan = (word & 0x7fffffff) > 0x7f800000
    bits[i] = isNan ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16
  }
  return bits
}

export function float16ToFloat32(bits: Uint16Array): Float32Array {
  table ??= Float32Array.from({ length: 0x10000 }, (_, half) => decoded(half))
  const values = new Float32Array(bits.length)
  for (let i = 0; i < bits.length; i++) values[i] = table[bits[i]!]!
  return values
}

export function float32ToFloat16(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const bits = new Uint16Array(values.length)
  for (let i = 0; i < bits.length; i++) {
    const word = words[i]! & 0x7fffffff
    // Almost every weight is a normal float16, 2^-14 to 65536: half a step less one, and one more where that is odd.
    const isNormal = word >= 0x38800000 && word < 0x47800000
    const half = isNormal ? (word - 0x37fff001 + ((word >>> 13) & 1)) >>> 13 : magnitude(word)
    bits[i] = ((words[i]! >>> 16) & 0x8000) | half
  }
  return bits
}

/** Value of each of the 65,536 float16 numbers. */
let table: Float32Array | undefined

function decoded(half: number): number {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >>> 10) & 0x1f
  const fraction = half & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

/** float16 bits of a float32 that is not a normal float16, given by its bits without the sign. */
function magnitude(word: number): number {
  if (word > 0x7f800000) return 0x7e00
  const exponent = (word >>> 23) - 112
  if (exponent >= 31) return 0x7c00
  // Below 2^-14 the steps are all 2^-24 wide: shift the significand, with its leading 1, to them.
  return exponent < -10 ? 0 : roundedShift((word & 0x7fffff) | 0x800000, 14 - exponent)
}

function roundedShift(value: number, bits: number): number {
  const quotient = value >>> bits
  const rest = value & ((1 << bits) - 1)
  const half = 1 << (bits - 1)
  return rest > half || (rest === half && quotient & 1) ? quotient + 1 : quotient
}
