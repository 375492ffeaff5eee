/** Steps of training on local shards that are drawn with replacement. */
import { join } from "node:path"
import type { Prepare } from "../row.ts"
import { configOf, trainingModule } from "./training.ts"

export const prepare: Prepare = async (build, { size: { units: steps }, input }) => {
  const { openTrainingData } = await trainingModule(build)
  const config = { ...(await configOf(build, join(input, "shards"))), resampled: true }
  return async () => {
    const data = await openTrainingData(config)
    let step = 0
    for await (const _ of data.batches(0)) if (++step === steps) break
    await data.close()
    return undefined
  }
}
