/** Numbers as pages write them. */

/** 0.0834 -> "8.3%" */
export function percent(share: number): string {
  return `${(100 * share).toFixed(1)}%`
}

/** 12345.6 -> "12,346" */
export function integer(value: number): string {
  return Math.round(value).toLocaleString("en")
}
