/** A thread of the pool (`index-pool.ts`). */
import { serveThread } from "../../host/thread-pool.ts"
import type { IndexRequest } from "./index-pool.ts"
import { type MadeIndex, makeShardIndex } from "./shard-index.ts"

serveThread(() => ({
  answer: ({ shard, place }: IndexRequest): Promise<MadeIndex> => makeShardIndex(shard, place),
  transfer: ({ table }: MadeIndex) => [table.buffer],
}))
