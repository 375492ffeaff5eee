/** Shards, wherever they are, opened as they are needed: remote ones are copied, and the copies that were not used for longest are removed. */
import { rm } from "node:fs/promises"
import { UserError } from "../../../core/errors.ts"
import { mapOrdered } from "../../../core/parallel.ts"
import type { LocalFile, Storage } from "../../stores/storage.ts"
import type { SampleList, SampleLocation } from "./location.ts"
import { type IndexOptions, indexShard, type ShardIndex } from "./shard-index.ts"

interface OpenShard {
  readonly file: LocalFile
  readonly samples: ShardIndex
}

/** How many shards are opened at the same time. */
const opensAtOnce = 16

export class ShardSet implements AsyncDisposable {
  /** In the order of their last use. */
  private readonly open = new Map<number, Promise<OpenShard>>()
  private readonly closing = new AbortController()

  /** @param most how many stay open */
  constructor(
    readonly urls: readonly string[],
    private readonly storage: Storage,
    private readonly options: IndexOptions,
    private readonly most: number,
  ) {}

  /** The samples of a shard. Throws UserError where it cannot be read, or has no samples. */
  async samples(shard: number): Promise<SampleList> {
    const opened = this.open.get(shard) ?? this.fetch(shard)
    this.open.delete(shard)
    this.open.set(shard, opened)
    this.closeOldest()
    return (await opened).samples
  }

  /** Ends what is being fetched, and waits for it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.closing.abort()
    const opened = [...this.open.values()]
    this.open.clear()
    await Promise.all(opened.map(closeShard))
  }

  private fetch(shard: number): Promise<OpenShard> {
    const opened = openShard(this.urls[shard]!, this.storage, this.options, this.closing.signal)
    // A fetch that failed ahead of time is tried again when the shard is needed, and reported then.
    opened.catch(() => {
      if (this.open.get(shard) === opened) this.open.delete(shard)
    })
    return opened
  }

  private closeOldest(): void {
    for (const [shard, opened] of this.open) {
      if (this.open.size <= this.most) return
      this.open.delete(shard)
      void closeShard(opened)
    }
  }
}

async function openShard(
  url: string,
  storage: Storage,
  options: IndexOptions,
  signal: AbortSignal,
): Promise<OpenShard> {
  const file = await storage.fetch(url, { signal })
  try {
    signal.throwIfAborted()
    const samples = await indexShard(file.path, url, options)
    if (samples.count === 0) throw new UserError(`${url} holds no whole sample`, "get or write the shard again")
    return { file, samples }
  } catch (error) {
    await file[Symbol.asyncDispose]()
    throw error
  }
}

async function closeShard(opened: Promise<OpenShard>): Promise<void> {
  const shard = await opened.catch(() => null)
  shard?.samples.close()
  await shard?.file[Symbol.asyncDispose]()
  if (shard?.samples.unpacked) await rm(shard.samples.unpacked, { force: true })
}

export interface JoinOptions {
  /** The shard to begin with: processes that begin at different ones make different indexes, and find each other's. */
  readonly first?: number
  readonly signal?: AbortSignal | undefined
}

/** The samples of all shards, one shard after the other. Throws the signal's reason. */
export async function joinShards(set: ShardSet, { first = 0, signal }: JoinOptions = {}): Promise<SampleList> {
  const count = set.urls.length
  const lists = new Array<SampleList>(count)
  const order = Array.from({ length: count }, (_, i) => (first + i) % count)
  const opened = mapOrdered(order, opensAtOnce, async (shard) => ({ shard, list: await set.samples(shard) }))
  for await (const { shard, list } of opened) {
    signal?.throwIfAborted()
    lists[shard] = list
  }
  return new JoinedList(lists)
}

class JoinedList implements SampleList {
  /** The samples of list i have the numbers starts[i] to starts[i + 1]. */
  private readonly starts: readonly number[]

  constructor(private readonly lists: readonly SampleList[]) {
    const starts = [0]
    for (const { count } of lists) starts.push(starts.at(-1)! + count)
    this.starts = starts
  }

  get count(): number {
    return this.starts.at(-1)!
  }

  location(index: number): SampleLocation {
    let [low, high] = [0, this.lists.length - 1]
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.starts[middle]! <= index) low = middle
      else high = middle - 1
    }
    return this.lists[low]!.location(index - this.starts[low]!)
  }
}
