/** Where the samples of one shard are, found anew. */
import { join } from "node:path"
import type { Build } from "../build.ts"
import type { Prepare } from "../row.ts"

export const prepare: Prepare = async (build, { input }) => {
  const index = await indexing(build)
  const path = join(input, "shards", "00000.tar")
  return async () => {
    await index(path)
    return undefined
  }
}

interface ShardIndexes {
  plainShard(path: string): unknown
  makeShardIndex(shard: unknown, place: "nowhere"): Promise<unknown>
}

interface OlderShardIndexes {
  indexShard(path: string, url: string, options: object): Promise<unknown>
}

async function indexing(build: Build): Promise<(path: string) => Promise<unknown>> {
  const path = "src/data/sample-index/shard-index.js"
  if (build.has(path)) {
    const { plainShard, makeShardIndex } = await build.load<ShardIndexes>(path)
    return (shard) => makeShardIndex(plainShard(shard), "nowhere")
  }
  const { indexShard } = await build.load<OlderShardIndexes>("src/data/training/sources/shard-index.js")
  return (shard) => indexShard(shard, shard, { wants: () => true, report() {} })
}
