/**
 * What happens to logits before a token is chosen: rules that change them, and the choice of tokens to draw from.
 * Follows Hugging Face's MinLengthLogitsProcessor, RepetitionPenaltyLogitsProcessor, TopPLogitsWarper, TopKLogitsWarper.
 */
import { endOfText } from "../../core/tokenizer.ts"
import type { GenerateOptions } from "./options.ts"

/** Applies the rules to one row, in place. `caption` is what it has so far. */
export function applyRules(
  logits: Float32Array,
  caption: readonly number[],
  { minSeqLen, repetitionPenalty }: Pick<GenerateOptions, "minSeqLen" | "repetitionPenalty">,
): void {
  if (caption.length < minSeqLen) logits[endOfText] = Number.NEGATIVE_INFINITY
  if (repetitionPenalty === 1) return
  for (const id of new Set(caption)) {
    const logit = logits[id]!
    logits[id] = logit < 0 ? logit * repetitionPenalty : logit / repetitionPenalty
  }
}

/** Tokens to draw from: the most likely ones that have at least `topP` of the probability together, at least one. */
export function topPTokens(logits: Float32Array, topP: number): number[] {
  const largest = maximum(logits)
  const weights = logits.map((logit) => Math.exp(logit - largest))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const buckets = sortIntoBuckets(logits, largest)
  const kept: number[] = []
  let mass = 0
  for (const bucket of buckets) {
    const weight = bucket.reduce((sum, id) => sum + weights[id]!, 0)
    // A token is drawn from when those before it have less than topP: whole buckets need no order inside.
    if (mass + weight < topP * total) {
      for (const id of bucket) kept.push(id)
      mass += weight
      continue
    }
    for (const id of bucket.sort((a, b) => logits[b]! - logits[a]! || b - a)) {
      if (kept.length > 0 && mass >= topP * total) return kept
      kept.push(id)
      mass += weights[id]!
    }
  }
  return kept
}

/** Tokens whose logit is at least the k-th largest. */
export function topKTokens(logits: Float32Array, topK: number): number[] {
  if (topK === 1) {
    const largest = maximum(logits)
    return indicesWhere(logits, (logit) => logit === largest)
  }
  const threshold = Float32Array.from(logits).sort().at(-Math.min(topK, logits.length))!
  return indicesWhere(logits, (logit) => logit >= threshold)
}

const BUCKETS = 256
/** Tokens this far below the most likely one share the last bucket: e^-32 of its probability. */
const RANGE = 32

/** Token ids by how far they are below the largest logit, nearest first; impossible ones are left out. */
function sortIntoBuckets(logits: Float32Array, largest: number): number[][] {
  const buckets: number[][] = Array.from({ length: BUCKETS }, () => [])
  for (let id = 0; id < logits.length; id++) {
    const below = largest - logits[id]!
    if (below === Number.POSITIVE_INFINITY) continue
    buckets[Math.min(BUCKETS - 1, Math.floor((below / RANGE) * BUCKETS))]!.push(id)
  }
  return buckets
}

function indicesWhere(values: Float32Array, is: (value: number) => boolean): number[] {
  const found: number[] = []
  for (let i = 0; i < values.length; i++) if (is(values[i]!)) found.push(i)
  return found
}

function maximum(values: Float32Array): number {
  let largest = Number.NEGATIVE_INFINITY
  for (const value of values) if (value > largest) largest = value
  return largest
}
