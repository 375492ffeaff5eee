/** Which of many values are the largest, without sorting all of them. */

/** Values that are kept before the smaller ones are dropped: few would be sorted too often. */
const leastKept = 64

/** Places of the `most` largest values, the largest first; of equal ones the first comes first. */
export function largestFirst(values: Float32Array, most: number): number[] {
  const room = Math.max(2 * most, leastKept)
  let kept: number[] = []
  let least = Number.NEGATIVE_INFINITY
  const drop = () => {
    kept = kept.sort((a, b) => values[b]! - values[a]! || a - b).slice(0, most)
    if (kept.length === most) least = values[kept.at(-1)!]!
  }
  for (let place = 0; place < values.length; place++) {
    // An equal one that comes later is not among them. Without a comparison (NaN), it is kept.
    if (kept.length >= most && values[place]! <= least) continue
    kept.push(place)
    if (kept.length >= room) drop()
  }
  drop()
  return kept
}
