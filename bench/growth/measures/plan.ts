/** Which shard becomes which, of shards whose base names are distinct, or where each folder has the same names. */
import type { Prepare } from "../row.ts"

/** Shards of a folder, where names are repeated. */
const inFolder = 100

export const prepare: Prepare = async (build, { size: { given } }) => {
  const { planShards } = await build.load<typeof import("../../../src/reinforce/job/plan.ts")>(
    "src/reinforce/job/plan.js",
    "src/reinforce/plan.js",
  )
  const isRepeated = given.folders !== undefined
  const name = (i: number) => String(i).padStart(8, "0")
  const shards = Array.from({ length: given.shards! }, (_, i) =>
    isRepeated ? `/data/${name(Math.floor(i / inFolder))}/${name(i % inFolder)}.tar` : `/data/${name(i)}.tar`,
  )
  return async () => {
    planShards(shards, "/out", { output: "webdataset" })
    return undefined
  }
}
