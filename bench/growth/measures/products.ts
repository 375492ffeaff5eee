/** Cosines of images with texts, all of them at once. */
import type { Prepare } from "../row.ts"
import { similarityModule, unitRows, width } from "./vectors.ts"

export const prepare: Prepare = async (build, { size: { given } }) => {
  const { cosines } = await similarityModule(build)
  const [images, texts] = [unitRows(given.images!, 1), unitRows(given.texts!, 2)]
  return async () => {
    cosines(images, texts, width)
    return undefined
  }
}
