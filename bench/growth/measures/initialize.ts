/** The first values of all parameters of a model. */
import type { Prepare } from "../row.ts"
import { infoOf } from "./model.ts"

export const prepare: Prepare = async (build, { size: { given } }) => {
  const { buildModel } = await build.load<typeof import("../../../src/model/checkpoint/checkpoint.ts")>(
    "src/model/checkpoint/checkpoint.js",
    "src/model/checkpoint.js",
  )
  const { initialize } = await build.load<typeof import("../../../src/model/module.ts")>("src/model/module.js")
  const model = buildModel(infoOf(given.words!).config)
  return async () => {
    await initialize(model, 1)
    return undefined
  }
}
