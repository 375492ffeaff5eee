/** Ranks of retrieval in both directions. */
import type { Prepare } from "../row.ts"
import { similarityModule, unitRows, width } from "./vectors.ts"

export const prepare: Prepare = async (build, { size: { given } }) => {
  const { matchRanks } = await similarityModule(build)
  const [images, texts] = [unitRows(given.images!, 1), unitRows(given.texts!, 2)]
  const imageOfText = Int32Array.from({ length: given.texts! }, (_, text) => text % given.images!)
  return async () => {
    matchRanks(images, texts, width, imageOfText)
    return undefined
  }
}
