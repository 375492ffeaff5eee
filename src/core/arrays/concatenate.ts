/** The values of all parts in one array, one part after the other. A single part is returned itself, not copied. */
export function concatenate(parts: readonly Float32Array[]): Float32Array {
  return joined(parts, Float32Array)
}

/** The same of whole numbers. */
export function concatenateIntegers(parts: readonly Int32Array[]): Int32Array {
  return joined(parts, Int32Array)
}

/** The same in 64 bits each. */
export function concatenateDoubles(parts: readonly Float64Array[]): Float64Array {
  return joined(parts, Float64Array)
}

function joined<A extends Float32Array | Int32Array | Float64Array>(
  parts: readonly A[],
  Kind: new (length: number) => A,
): A {
  if (parts.length === 1) return parts[0]!
  const whole = new Kind(parts.reduce((sum, { length }) => sum + length, 0))
  let offset = 0
  for (const part of parts) {
    whole.set(part, offset)
    offset += part.length
  }
  return whole
}
