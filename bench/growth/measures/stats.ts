/** What is in reinforced shards. */
import { join } from "node:path"
import type { StatsOptions } from "../../../src/reinforce/tools/tool-options.ts"
import type { Prepare } from "../row.ts"
import { workersOf } from "./verify.ts"

export const prepare: Prepare = async (build, { size: { given }, input }) => {
  const { shardStats } = await build.load<typeof import("../../../src/reinforce/tools/stats/stats.ts")>(
    "src/reinforce/tools/stats/stats.js",
  )
  const options: StatsOptions = workersOf(build, given)
  return async () => {
    await shardStats(join(input, "shards"), options)
    return undefined
  }
}
