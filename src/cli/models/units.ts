/** Large numbers for people; JSON has them in full. */

/** Millions with one decimal, as they are published: 11356992 -> "11.4". */
export function millions(count: number): string {
  return (count / 1e6).toFixed(1)
}

/** Billions with two decimals: 2376761344 -> "2.38". */
export function billions(count: number): string {
  return (count / 1e9).toFixed(2)
}

/** Units of 1024 * 1024 bytes: 4194304 -> "4.0". */
export function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1)
}

/** Units of 1024 bytes, rounded: 262144 -> "256". */
export function kibibytes(bytes: number): string {
  return Math.round(bytes / 2 ** 10).toLocaleString("en")
}

/** Three digits and a letter: 1728 -> "1.73k", 0 -> "0". */
export function short(count: number): string {
  const [divisor, letter] = count < 1e3 ? [1, ""] : count < 1e6 ? [1e3, "k"] : count < 1e9 ? [1e6, "M"] : [1e9, "G"]
  return count < 1e3 ? String(count) : `${(count / divisor).toPrecision(3)}${letter}`
}
