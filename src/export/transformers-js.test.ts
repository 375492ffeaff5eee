/** The real transformers.js opens what is exported, tokenises, preprocesses and gives the same vectors. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import {
  AutoTokenizer,
  CLIPTextModelWithProjection,
  CLIPVisionModelWithProjection,
  env,
  Tensor,
} from "@huggingface/transformers"
import { afterAll, beforeAll, expect, test } from "vitest"
import { tinyInfo, tinyModel } from "../../test/tiny-model.ts"
import { inputImage } from "../core/arrays/fill.ts"
import { loadModel } from "../run/node.ts"
import { exportModel } from "./export.ts"

let folder: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "transformers-"))
  env.allowRemoteModels = false
  env.localModelPath = folder
  await exportModel(tinyModel({ causal: false }), tinyInfo, join(folder, "tiny"))
  await exportModel(tinyModel({ causal: false }), tinyInfo, join(folder, "half"), { dtype: "fp16" })
})
afterAll(() => rmSync(folder, { recursive: true }))

const texts = ["a photo of a cat", "two dogs"]

test.each([
  ["tiny", "fp32", 1e-4],
  ["half", "fp16", 2e-2],
] as const)("%s", async (name, dtype, tolerance) => {
  const { size } = tinyInfo.preprocessing
  const vision = await CLIPVisionModelWithProjection.from_pretrained(name, { dtype })
  const text = await CLIPTextModelWithProjection.from_pretrained(name, { dtype })
  const tokenizer = await AutoTokenizer.from_pretrained(name)
  const tokens = tokenizer(texts, { padding: "max_length", max_length: 77, truncation: true })
  const { text_embeds } = await text(tokens)
  await using ours = await loadModel(join(folder, name))
  // The same file and the same tokens: the same numbers.
  expect([...text_embeds.data]).toEqual([...(await ours.encodeTexts(texts))])

  const pixels = new Tensor("float32", inputImage(size, 3), [3, 3, size, size])
  const { image_embeds } = await vision({ pixel_values: pixels })
  // What the model gave before it was fused and rounded.
  const expected = ours.manifest!.selfTest!.image
  const width = ours.embedDim
  for (const [row, values] of expected.values.entries()) {
    for (const [i, value] of values.entries()) {
      const difference = Math.abs(image_embeds.data[row * width + i] - value)
      expect(difference / expected.standardDeviation).toBeLessThan(tolerance)
    }
  }
})
