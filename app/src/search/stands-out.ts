/**
 * Which pictures stand out for a query. A cosine says little by itself, so it is compared with the same query's cosines over all
 * pictures: z is how many spreads a picture is above their middle. The spread is that of the lower half, which the pictures that
 * fit do not widen. A picture stands out above what the best of as many unrelated pictures would reach in one case of twenty, if
 * their cosines were normally distributed.
 */

export interface Ranked {
  /** Place in what was searched. */
  readonly index: number
  readonly cosine: number
  readonly z: number
}

export interface Ranking {
  /** All pictures, the best first. */
  readonly ranked: readonly Ranked[]
  /** How many of the first stand out; null where there are too few pictures to say. */
  readonly standOut: number | null
  /** In z. */
  readonly threshold: number
}

/** With fewer, a middle and a spread say nothing. */
export const leastPictures = 8

/** The lower sixth of a normal distribution is one standard deviation below its middle. */
const oneBelow = 0.1587

export function rank(cosines: ArrayLike<number>): Ranking {
  const sorted = Float64Array.from(cosines).sort()
  const middle = quantile(sorted, 0.5)
  const spread = Math.max(middle - quantile(sorted, oneBelow), 1e-9)
  const ranked = Array.from(cosines, (cosine, index) => ({ index, cosine, z: (cosine - middle) / spread }))
  ranked.sort((a, b) => b.cosine - a.cosine || a.index - b.index)
  const threshold = bestOfUnrelated(sorted.length)
  const isEnough = sorted.length >= leastPictures
  return { ranked, threshold, standOut: isEnough ? ranked.filter(({ z }) => z > threshold).length : null }
}

/** What the largest of `count` standard normal values exceeds in one case of twenty. */
export function bestOfUnrelated(count: number): number {
  const chance = Math.log(Math.max(2, count) / 0.05)
  const root = Math.sqrt(2 * chance)
  return root - (Math.log(chance) + Math.log(4 * Math.PI)) / (2 * root)
}

/** A quantile of sorted values, between neighbours by a straight line; NaN where there are none. */
function quantile(sorted: Float64Array, share: number): number {
  const place = (sorted.length - 1) * share
  const [low, high] = [sorted[Math.floor(place)] ?? Number.NaN, sorted[Math.ceil(place)] ?? Number.NaN]
  return low + (high - low) * (place - Math.floor(place))
}

/** Cosines of a unit vector with unit vectors. */
export function cosinesWith(query: Float32Array, vectors: readonly Float32Array[]): Float32Array {
  return Float32Array.from(vectors, (vector) => {
    let sum = 0
    for (let i = 0; i < query.length; i++) sum += query[i]! * vector[i]!
    return sum
  })
}
