/** Reinforced shards checked, without models. */
import { join } from "node:path"
import { NotThere } from "../build.ts"
import type { Prepare } from "../row.ts"

export const prepare: Prepare = async (build, { size: { given }, input }) => {
  const { verifyShards } = await build.load<typeof import("../../../src/reinforce/tools/verify/verify.ts")>(
    "src/reinforce/tools/verify/verify.js",
  )
  const workers = workersOf(given)
  return async () => {
    const { problems } = await verifyShards(join(input, "shards"), { samples: 0, ...workers })
    if (problems.length > 0) throw new Error(`${problems.length} problems: ${problems[0]!.reason}`)
    return undefined
  }
}

/** The number of processes where it is asked for. */
export function workersOf({ workers }: Readonly<Record<string, number>>): { workers?: number } {
  if (workers === undefined) return {}
  throw new NotThere("verification over processes")
}
