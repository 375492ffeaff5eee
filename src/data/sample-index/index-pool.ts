/** Threads that make indexes of shards, one shard each at a time. They are started for the third shard: two take less time here. */
import { ThreadPool } from "../../host/thread-pool.ts"
import { type IndexPlace, type MadeIndex, makeShardIndex, type PlainShard } from "./shard-index.ts"

export interface IndexRequest {
  readonly shard: PlainShard
  readonly place: IndexPlace
}

const fewShards = 2

export class IndexPool implements AsyncDisposable {
  private pool: ThreadPool<IndexRequest, MadeIndex> | null = null
  private asked = 0
  private isClosed = false

  constructor(private readonly threads: number) {}

  /** Throws UserError where the shard has no samples, or the place beside it cannot be written. */
  make(shard: PlainShard, place: IndexPlace): Promise<MadeIndex> {
    if (this.isClosed) throw new Error("the pool of indexes is closed")
    if (this.threads <= 1 || ++this.asked <= fewShards) return makeShardIndex(shard, place)
    this.pool ??= new ThreadPool<IndexRequest, MadeIndex>({
      ...{ program: [import.meta.url, "worker"], name: "indexes", threads: this.threads },
    })
    return this.pool.ask({ shard, place })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.isClosed = true
    await this.pool?.[Symbol.asyncDispose]()
    this.pool = null
  }
}
