import { expect, test } from "vitest"
import type { Encoder } from "../inference/encoder.ts"
import { fillTemplate, labelVectors } from "./prompts.ts"

test("templates are filled everywhere they say, with labels as they are", () => {
  expect(fillTemplate("a {} or {}", "$& cat")).toBe("a $& cat or $& cat")
  expect(fillTemplate("a {c}.", "dog")).toBe("a dog.")
  expect(() => fillTemplate("a photo", "dog")).toThrow(/has no \{\}/)
})

test("a label is the normalised mean of normalised prompts", async () => {
  const encoder: Encoder = {
    embedDim: 2,
    encodeImages: async () => new Float32Array(),
    encodeTexts: async (texts) =>
      Float32Array.from(texts.flatMap((text) => (text.startsWith("a ") ? [10, 0] : [0, text.length]))),
  }
  // means of (1, 0), (0, 1), (0, 1): (1, 2) / 3 for both labels
  const expected = [1, 2, 1, 2].map((value) => Math.fround(value / Math.sqrt(5)))
  const vectors = await labelVectors(encoder, ["cat", "crocodile"], ["a {}", "one {}", "two {}"])
  expect([...vectors].map((value) => value.toFixed(6))).toEqual(expected.map((value) => value.toFixed(6)))
})
