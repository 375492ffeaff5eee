/** Labels to vectors, without the time of a model: its vectors are there. They are kept between runs where the build does that. */
import type { Build } from "../build.ts"
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
  const options = await storeOf(build)
  return async () => {
    await labelVectors({ embedDim: width, encodeTexts }, labels, templates, options)
    return undefined
  }
}

interface VectorCacheModule {
  defaultCacheFolder(): string
  readonly VectorCache: new (folder: string) => { labelStore(identity: readonly string[]): unknown }
}

async function storeOf(build: Build): Promise<object> {
  const path = "src/vector-cache/vector-cache.js"
  if (!build.has(path)) return {}
  const { VectorCache, defaultCacheFolder } = await build.load<VectorCacheModule>(path)
  return { store: new VectorCache(defaultCacheFolder()).labelStore(["a model that costs nothing"]) }
}
