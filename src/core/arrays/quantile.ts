/** The value below which a share (0..1) of the values lies, between two of them by a straight line, as NumPy's. There is one value at least. */
export function quantile(values: ArrayLike<number>, share: number): number {
  const sorted = new Float64Array(values).sort()
  const place = share * (sorted.length - 1)
  const below = Math.floor(place)
  const [low, high] = [sorted[below]!, sorted[Math.min(below + 1, sorted.length - 1)]!]
  return low + (high - low) * (place - below)
}

/** The middle value, or the mean of the two in the middle. There is one value at least. */
export function median(values: ArrayLike<number>): number {
  return quantile(values, 0.5)
}
