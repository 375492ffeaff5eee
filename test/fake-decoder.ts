/**
 * Language models without weights: logits are hashes of a picture and of the whole prefix. `FakeDecoder` continues rows
 * from a state, as a decoder with a cache does; `nextLogits` computes the same from a prefix alone.
 */

import { hash } from "../src/core/arrays/fill.ts"
import { fnv1a } from "../src/core/arrays/random.ts"
import { assert } from "../src/core/errors.ts"
import type { CaptionDecoder } from "../src/core/inference/caption-decoder.ts"
import { endOfText } from "../src/core/text/tokenizer.ts"

export interface FakeModel {
  readonly name: string
  /** Ids below this and end of text have logits in shift - scale..shift + scale; all others have -10,000. */
  readonly words: number
  readonly scale: number
  readonly shift: number
  /** Logits are rounded down to multiples of this, which makes ties; 0 for none. */
  readonly step: number
  /** Added to the logit of end of text. */
  readonly endBias: number
  /** Added to the logit of the pad token. */
  readonly padBias: number
}

export const vocabSize = endOfText + 1

/** Writes the logits of the token after `prefix` in the caption of picture `image`. */
export function nextLogits(model: FakeModel, image: number, prefix: readonly number[], out: Float32Array): void {
  writeLogits(
    model,
    prefix.reduce((state, token) => hash(state, token), firstState(model, image)),
    out,
  )
}

export class FakeDecoder implements CaptionDecoder {
  readonly vocabSize = vocabSize
  /** Rows of each call. */
  readonly calls: number[] = []
  private readonly model: FakeModel
  private readonly images: readonly number[]
  readonly contextLength: number
  private states: readonly number[] | null = null

  /** @param images the picture of each row */
  constructor(model: FakeModel, images: readonly number[], contextLength = 76) {
    this.model = model
    this.images = images
    this.contextLength = contextLength
  }

  async step(tokens: readonly number[], parents: readonly number[] | null): Promise<Float32Array> {
    assert((parents === null) === (this.states === null), "only the first call has no parents")
    const before = parents?.map((row) => this.states![row]!) ?? this.images.map((i) => firstState(this.model, i))
    assert(before.length === tokens.length, `${tokens.length} tokens for ${before.length} rows`)
    assert(this.calls.push(tokens.length) <= this.contextLength, "fed more than the context takes")
    this.states = before.map((state, row) => hash(state, tokens[row]!))
    const logits = new Float32Array(tokens.length * vocabSize)
    this.states.forEach((state, row) => {
      writeLogits(this.model, state, logits.subarray(row * vocabSize, (row + 1) * vocabSize))
    })
    return logits
  }
}

function firstState({ name }: FakeModel, image: number): number {
  return fnv1a(`${name}:${image}`)
}

function writeLogits(
  { words, scale, shift, step, endBias, padBias }: FakeModel,
  state: number,
  out: Float32Array,
): void {
  out.fill(-10_000)
  const logit = (token: number) => {
    const value = shift + scale * (hash(state, token) / 2 ** 31 - 1)
    return step === 0 ? value : Math.floor(value / step) * step
  }
  for (let token = 0; token < words; token++) out[token] = logit(token)
  out[endOfText] = logit(endOfText) + endBias
  out[0]! += padBias
}
