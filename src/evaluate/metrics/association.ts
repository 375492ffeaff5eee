/** Which pictures belong to a cue (WinoGAViL), as datacomp scores it. */
import { assert } from "../../core/errors.ts"
import type { Metrics } from "./metrics.ts"
import { topK } from "./predictions.ts"

export interface AssociationAnswer {
  /** Pictures to choose from. */
  readonly candidates: number
  /** Intersection over union of the pictures chosen and the right ones. */
  readonly jaccard: number
}

/** The text a cue is encoded as: lower case, after "A", or "An" before a vowel's letter. */
export function cuePrompt(cue: string): string {
  const item = cue.toLowerCase()
  return `${/^[aeiou]/.test(item) ? "An" : "A"} ${item}`
}

/** Chooses as many candidates as belong to the cue, those with the highest scores; the first of equal ones. */
export function associationAnswer(scores: Float32Array, associations: readonly boolean[]): AssociationAnswer {
  assert(scores.length === associations.length, `${scores.length} scores for ${associations.length} candidates`)
  const right = associations.filter(Boolean).length
  const chosen = topK(scores, scores.length, right)
  const both = chosen.filter((candidate) => associations[candidate]!).length
  return { candidates: scores.length, jaccard: right === 0 ? 0 : both / (2 * right - both) }
}

/** Means over all instances, and over those with certain numbers of candidates. */
export function associationMetrics(answers: readonly AssociationAnswer[]): Metrics {
  const meanWhere = (isMeant: (candidates: number) => boolean) => {
    const meant = answers.filter(({ candidates }) => isMeant(candidates))
    return meant.length === 0 ? null : meant.reduce((sum, { jaccard }) => sum + jaccard, 0) / meant.length
  }
  const sizes = [5, 6, 10, 12].map((size) => [`jaccard_score_${size}`, meanWhere((count) => count === size)] as const)
  return {
    avg_jaccard_score: meanWhere(() => true),
    ...Object.fromEntries(sizes),
    "jaccard_score_5-6": meanWhere((count) => count <= 6),
    "jaccard_score_10-12": meanWhere((count) => count >= 10),
  }
}
