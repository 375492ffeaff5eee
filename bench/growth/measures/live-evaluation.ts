/** A task list opened and scored, as a run does along the way; a model whose vectors cost nothing. */
import { join } from "node:path"
import type { Encoder } from "../../../src/core/inference/encoder.ts"
import type { Prepare } from "../row.ts"
import { unitRows, width } from "./vectors.ts"

export const prepare: Prepare = async (build, { input }) => {
  const { openTasks } =
    await build.load<typeof import("../../../src/evaluate/task-list.ts")>("src/evaluate/task-list.js")
  const encode = async (items: readonly unknown[]) => unitRows(items.length, 1)
  const encoder: Encoder = { embedDim: width, encodeImages: encode, encodeTexts: encode }
  return async () => {
    const tasks = await openTasks(join(input, "pictures"))
    await tasks.score(encoder)
    return undefined
  }
}
