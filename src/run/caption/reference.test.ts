/** Captions and distributions against the reference's own (test/fixtures/caption). */
import { readFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { FakeDecoder, type FakeModel, nextLogits, vocabSize } from "../../../test/fake-decoder.ts"
import { generate, rowsPerCaption } from "./generate.ts"
import { defaultOptions, type GenerateOptions } from "./options.ts"
import { applyRules, topKTokens, topPTokens } from "./processors.ts"

interface Case {
  readonly name: string
  readonly model: FakeModel
  readonly images: readonly number[]
  readonly options: Partial<GenerateOptions>
  readonly expected: readonly (readonly number[])[]
}

interface Step {
  readonly model: FakeModel
  readonly options: Partial<GenerateOptions>
  readonly prefix: readonly number[]
  readonly probabilities: readonly number[]
}

describe("the reference's captions", () => {
  test.each(read<Case>("captions.json"))("$name", async ({ model, images, options, expected }) => {
    const each = rowsPerCaption({ ...defaultOptions, ...options })
    const rows = images.flatMap((image) => Array<number>(each).fill(image))
    const captions = await generate(
      new FakeDecoder(model, rows),
      images.map(() => 0),
      options,
    )
    expect(captions).toEqual(expected)
  })
})

describe("the reference's distributions", () => {
  test.each(read<Step & { case: string; image: number; tokens: number[] }>("distributions.json"))(
    "$case, after $prefix",
    (step) => {
      const { tokens, probabilities } = distribution(step, step.image)
      expect(tokens).toEqual(step.tokens)
      compare(probabilities, step.probabilities)
    },
  )

  test.each(read<Step & { count: number; first: number[]; last: number[]; sumOfTokens: number }>("vocabulary.json"))(
    "$options.topP of $model.name, after $prefix",
    (step) => {
      const { tokens, probabilities } = distribution(step, 0)
      expect([tokens.length, tokens.slice(0, 8), tokens.slice(-8)]).toEqual([step.count, step.first, step.last])
      expect(tokens.reduce((sum, token) => sum + token)).toBe(step.sumOfTokens)
      compare(probabilities, step.probabilities)
    },
  )
})

function read<T>(name: string): T[] {
  return JSON.parse(readFileSync(new URL(`../../../test/fixtures/caption/${name}`, import.meta.url), "utf8"))
}

/** Ids with a probability above zero, ascending, and the probabilities. */
function distribution({ model, prefix, options }: Step, image: number) {
  const { generationType, topP, topK, temperature, ...rules } = { ...defaultOptions, ...options }
  const logits = new Float32Array(vocabSize)
  nextLogits(model, image, prefix, logits)
  applyRules(logits, prefix, rules)
  const kept = generationType === "top_p" ? topPTokens(logits, topP) : topKTokens(logits, topK)
  const largest = logits.reduce((a, b) => Math.max(a, b))
  const weights = Array.from(kept, (id): [number, number] => [id, Math.exp((logits[id]! - largest) / temperature)])
  const drawn = weights.filter(([, weight]) => weight > 0).sort(([a], [b]) => a - b)
  const total = drawn.reduce((sum, [, weight]) => sum + weight, 0)
  return { tokens: drawn.map(([id]) => id), probabilities: drawn.map(([, weight]) => weight / total) }
}

/** The reference computes in float32. */
function compare(found: readonly number[], expected: readonly number[]): void {
  for (const [i, p] of expected.entries()) expect(Math.abs(found[i]! / p - 1)).toBeLessThan(5e-6)
}
