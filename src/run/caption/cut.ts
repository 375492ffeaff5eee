/** Finds where a ranking of logits is cut, without sorting a vocabulary. */

/** Token i is kept when its logit is above `logit`, or equal to it and `i >= token`. */
export interface Cut {
  readonly logit: number
  readonly token: number
}

const buckets = 1024
/** Tokens that are few enough to sort. */
const few = 64

/**
 * Ranks `tokens` by falling logit, the higher id first among equal ones, and cuts after the first so many that have
 * `target` of `mass` together, at least one. `mass[i]` belongs to token i.
 *
 * Tokens are dealt into buckets by logit; the mass of those above tells in which bucket the cut lies, and only its
 * tokens are looked at again. The lowest and the highest token never share a bucket, so every turn has fewer.
 * `tokens` is by ascending id, has finite logits, and gets overwritten.
 */
export function findCut(logits: Float32Array, mass: Float64Array, tokens: Int32Array, target: number): Cut {
  const sums = new Float64Array(buckets)
  let left = tokens
  let above = 0
  while (left.length > few) {
    const { low, scale } = bucketScale(logits, left)
    if (scale === 0) break
    sums.fill(0)
    for (let i = 0; i < left.length; i++) sums[Math.floor((logits[left[i]!]! - low) * scale)]! += mass[left[i]!]!
    let bucket = buckets - 1
    while (bucket > 0 && above + sums[bucket]! < target) above += sums[bucket--]!
    let count = 0
    for (let i = 0; i < left.length; i++) {
      const token = left[i]!
      if (Math.floor((logits[token]! - low) * scale) === bucket) left[count++] = token
    }
    left = left.subarray(0, count)
  }
  return walk(logits, mass, left, target - above)
}

/** Maps the logits of `tokens` to 0..buckets - 1; the scale is 0 when all are equal. */
function bucketScale(logits: Float32Array, tokens: Int32Array): { low: number; scale: number } {
  let low = logits[tokens[0]!]!
  let high = low
  for (let i = 1; i < tokens.length; i++) {
    const logit = logits[tokens[i]!]!
    if (logit < low) low = logit
    if (logit > high) high = logit
  }
  return { low, scale: high === low ? 0 : (buckets - 0.5) / (high - low) }
}

function walk(logits: Float32Array, mass: Float64Array, tokens: Int32Array, target: number): Cut {
  const ranked = tokens.sort((a, b) => logits[b]! - logits[a]! || b - a)
  let above = 0
  let last = 0
  for (; last < ranked.length - 1; last++) {
    above += mass[ranked[last]!]!
    if (above >= target) break
  }
  const token = ranked[last]!
  return { logit: logits[token]!, token }
}
