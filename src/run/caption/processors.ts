/**
 * What happens to logits before a token is chosen: rules that change them, and the choice of tokens to draw from.
 * Follows Hugging Face's MinLengthLogitsProcessor, RepetitionPenaltyLogitsProcessor, TopPLogitsWarper, TopKLogitsWarper.
 */
import { UserError } from "../../core/errors.ts"
import { endOfText } from "../../core/text/tokenizer.ts"
import { type Cut, findCut } from "./cut.ts"
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

/**
 * Tokens to draw from, by ascending id: the most likely ones that have at least `topP` of the probability together, at
 * least one. Among equally likely ones it is the higher ids (the reference's order of those is that of an unstable sort).
 */
export function topPTokens(logits: Float32Array, topP: number): Int32Array {
  const largest = maximum(logits)
  const weights = new Float64Array(logits.length)
  let total = 0
  for (let id = 0; id < logits.length; id++) total += weights[id] = Math.exp(logits[id]! - largest)
  if (!Number.isFinite(total)) throw notNumbers()
  if (topP === 1) return tokensFrom(logits, { logit: -Number.MAX_VALUE, token: 0 })
  // The cut is among the likeliest, if those have the share already: it is looked for in a few tokens, not in all.
  const likely = above(logits, largest - LIKELY)
  const enough = likely.reduce((sum, id) => sum + weights[id]!, 0) >= topP * total
  const cut = findCut(logits, weights, enough ? likely : above(logits, Number.NEGATIVE_INFINITY), topP * total)
  return tokensFrom(logits, cut)
}

/** Logits so far below the largest weigh e^-12, 6e-6, of it. */
const LIKELY = 12

/** Tokens whose logit is at least the k-th largest, by ascending id. */
export function topKTokens(logits: Float32Array, topK: number): Int32Array {
  const largest = maximum(logits)
  if (topK === 1) return tokensFrom(logits, { logit: largest, token: 0 })
  const ones = new Float64Array(logits.length).fill(1)
  const { logit } = findCut(logits, ones, above(logits, Number.NEGATIVE_INFINITY), topK)
  return tokensFrom(logits, { logit, token: 0 })
}

/** Ids by ascending number; all that are not ruled out are above -Infinity. */
function above(logits: Float32Array, limit: number): Int32Array {
  const ids = new Int32Array(logits.length)
  let count = 0
  for (let id = 0; id < logits.length; id++) if (logits[id]! > limit) ids[count++] = id
  return ids.subarray(0, count)
}

function tokensFrom(logits: Float32Array, { logit, token }: Cut): Int32Array {
  const ids = new Int32Array(logits.length)
  let count = 0
  for (let id = 0; id < logits.length; id++) {
    if (logits[id]! > logit || (logits[id] === logit && id >= token)) ids[count++] = id
  }
  return ids.slice(0, count)
}

/** Throws UserError when it is not a finite number: nothing is then likelier than anything else. */
function maximum(values: Float32Array): number {
  let largest = Number.NEGATIVE_INFINITY
  for (let i = 0; i < values.length; i++) if (values[i]! > largest) largest = values[i]!
  if (!Number.isFinite(largest)) throw notNumbers()
  return largest
}

function notNumbers(): UserError {
  return new UserError(
    "captions: the decoder gave logits that are not finite numbers",
    "its weights are damaged, or float16 is too narrow for it: try float32",
  )
}
