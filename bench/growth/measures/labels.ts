/** Labels to vectors, without the time of a model: its vectors are there. */
import type { Prepare } from "../row.ts"
import { unitRows, width } from "./vectors.ts"

export const prepare: Prepare = async (build, { size: { given } }) => {
  const { labelVectors } = await build.load<typeof import("../../../src/core/text/prompts.ts")>(
    "src/core/text/prompts.js",
    "src/core/prompts.js",
  )
  const labels = Array.from({ length: given.labels! }, (_, i) => `label ${i}`)
  const templates = Array.from({ length: given.templates! }, (_, i) => `photo ${i} of a {}.`)
  const known = unitRows(1024, 3)
  const encodeTexts = async (texts: readonly string[]) => {
    const vectors = new Float32Array(texts.length * width)
    for (let from = 0; from < vectors.length; from += known.length)
      vectors.set(known.subarray(0, Math.min(known.length, vectors.length - from)), from)
    return vectors
  }
  return async () => {
    await labelVectors({ embedDim: width, encodeTexts }, labels, templates)
    return undefined
  }
}
