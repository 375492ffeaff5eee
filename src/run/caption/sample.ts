/**
 * Captions drawn token by token. Each row has a generator of its own, so a caption depends on its image and its seed,
 * not on the batch it was made in; a row that has ended leaves the batch.
 */

import { Random } from "../../core/arrays/random.ts"
import type { CaptionDecoder } from "../../core/inference/caption-decoder.ts"
import { endOfText, startOfText } from "../../core/text/tokenizer.ts"
import type { GenerateOptions } from "./options.ts"
import { applyRules, topKTokens, topPTokens } from "./processors.ts"

/** Padding, which is also the token of "!": drawing it ends a caption, as in the reference. */
export const padding = 0

interface Row {
  readonly caption: number[]
  readonly random: Random
}

/** Ids of each row: start of text, tokens, end of text. Rows are not padded. */
export async function sampleCaptions(
  decoder: CaptionDecoder,
  seeds: readonly number[],
  options: GenerateOptions,
): Promise<number[][]> {
  const rows: Row[] = seeds.map((seed) => ({ caption: [startOfText], random: Random.of(seed, "caption") }))
  let open = rows
  let parents: number[] | null = null
  while (open.length > 0) {
    const tokens = open.map(({ caption }) => caption.at(-1)!)
    const logits = await decoder.step(tokens, parents)
    open.forEach((row, i) => {
      const own = logits.slice(i * decoder.vocabSize, (i + 1) * decoder.vocabSize)
      row.caption.push(nextToken(row, own, options))
    })
    const going = open.map((row, i) => ({ row, i })).filter(({ row }) => !hasEnded(row.caption, options))
    parents = going.map(({ i }) => i)
    open = going.map(({ row }) => row)
  }
  return rows.map(({ caption }) => caption)
}

function hasEnded(caption: readonly number[], { seqLen }: GenerateOptions): boolean {
  const last = caption.at(-1)
  return last === endOfText || last === padding || caption.length >= seqLen
}

function nextToken({ caption, random }: Row, logits: Float32Array, options: GenerateOptions): number {
  if (caption.length + 1 === options.seqLen) return endOfText
  applyRules(logits, caption, options)
  return draw(logits, candidates(logits, options), options.temperature, random)
}

function candidates(logits: Float32Array, { generationType, topP, topK }: GenerateOptions): Int32Array {
  if (generationType === "top_p") return topPTokens(logits, topP)
  return topKTokens(logits, generationType === "greedy" ? 1 : topK)
}

/** One of the tokens, by the softmax of their logits over the temperature. */
function draw(logits: Float32Array, tokens: Int32Array, temperature: number, random: Random): number {
  if (tokens.length === 1) return tokens[0]!
  const largest = tokens.reduce((max, id) => Math.max(max, logits[id]!), Number.NEGATIVE_INFINITY)
  const weights = Array.from(tokens, (id) => Math.exp((logits[id]! - largest) / temperature))
  let left = random.uniform(0, 1) * weights.reduce((sum, weight) => sum + weight, 0)
  const chosen = weights.findIndex((weight) => {
    left -= weight
    return left < 0
  })
  return tokens[chosen === -1 ? tokens.length - 1 : chosen]!
}
