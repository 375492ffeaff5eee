/** Where the samples of one shard are. */
import { join } from "node:path"
import type { Prepare } from "../row.ts"

export const prepare: Prepare = async (build, { input }) => {
  const { indexShard } = await build.load<typeof import("../../../src/data/training/sources/shard-index.ts")>(
    "src/data/training/sources/shard-index.js",
  )
  const path = join(input, "shards", "00000.tar")
  const temporaryPath = () => Promise.reject(new Error("a tar is not unpacked"))
  return async () => {
    await indexShard(path, path, { wants: () => true, temporaryPath, report() {} })
    return undefined
  }
}
