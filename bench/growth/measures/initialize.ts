/** The first values of all parameters of a model, made and read. */
import type { Prepare } from "../row.ts"
import { infoOf, modelModule } from "./model.ts"

export const prepare: Prepare = async (build, { size: { given } }) => {
  const { buildModel } = await modelModule(build)
  const { initialize } = await build.load<typeof import("../../../src/model/module.ts")>("src/model/module.js")
  const model = buildModel(infoOf(given.words!).config)
  return async () => {
    initialize(model, 1)
    for (const parameter of model.namedParameters().values()) parameter.read()
    return undefined
  }
}
