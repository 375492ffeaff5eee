/** Reinforced shards checked, without models. */
import { join } from "node:path"
import { type Build, NotThere } from "../build.ts"
import type { Prepare } from "../row.ts"

export const prepare: Prepare = async (build, { size: { given }, input }) => {
  const { verifyShards } = await build.load<typeof import("../../../src/reinforce/tools/verify/verify.ts")>(
    "src/reinforce/tools/verify/verify.js",
  )
  const workers = workersOf(build, given)
  return async () => {
    const { problems } = await verifyShards(join(input, "shards"), { samples: 0, ...workers })
    if (problems.length > 0) throw new Error(`${problems.length} problems: ${problems[0]!.reason}`)
    return undefined
  }
}

/** The number of processes. Throws NotThere where the build has one alone, and more are asked for. */
export function workersOf(build: Build, { workers = 1 }: Readonly<Record<string, number>>): object {
  if (workers === 1 || build.has("src/reinforce/tools/over-shards.js")) return { workers }
  throw new NotThere("looks at shards in several processes")
}
