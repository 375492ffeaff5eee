import { expect, test } from "vitest"
import { Random } from "../../core/arrays/random.ts"
import { topKTokens, topPTokens } from "./processors.ts"

const random = new Random(11)
const shapes: Readonly<Record<string, () => number>> = {
  flat: () => random.uniform(0, 1e-3),
  normal: () => 4 * random.normal(),
  ties: () => Math.floor(random.uniform(0, 5)),
  "few ties": () => Math.floor(random.uniform(0, 400)) / 20,
  equal: () => 2,
  outliers: () => random.normal() * 10 ** random.int(9),
  "ruled out": () => (random.chance(0.5) ? Number.NEGATIVE_INFINITY : random.normal()),
}

test.each(Object.keys(shapes))("%s logits are cut where a full sort cuts them", (shape) => {
  for (const size of [1, 2, 64, 65, 1000, 5000]) {
    const logits = Float32Array.from({ length: size }, shapes[shape]!)
    logits[random.int(size)] = 3
    for (const topP of [0, 1e-6, 0.1, 0.5, 0.9, 0.999, 1])
      expect(Array.from(topPTokens(logits, topP)), `${size}, p ${topP}`).toEqual(topPBySorting(logits, topP))
    for (const topK of [1, 2, 63, 500, 10_000])
      expect(Array.from(topKTokens(logits, topK)), `${size}, k ${topK}`).toEqual(topKBySorting(logits, topK))
  }
})

/** Kept while those ranked above have less than `topP`. */
function topPBySorting(logits: Float32Array, topP: number): number[] {
  const max = logits.reduce((a, b) => Math.max(a, b))
  const ranked = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || b - a)
  const total = ranked.reduce((sum, id) => sum + Math.exp(logits[id]! - max), 0)
  let above = 0
  const kept = ranked.filter((id, place) => {
    const keep = place === 0 || topP === 1 || above < topP * total * (1 - 1e-12)
    above += Math.exp(logits[id]! - max)
    return keep && logits[id]! > Number.NEGATIVE_INFINITY
  })
  return kept.sort((a, b) => a - b)
}

function topKBySorting(logits: Float32Array, topK: number): number[] {
  const last = logits.toSorted().at(-Math.min(topK, logits.length))!
  return [...logits.keys()].filter((id) => logits[id]! >= last && logits[id]! > Number.NEGATIVE_INFINITY)
}
