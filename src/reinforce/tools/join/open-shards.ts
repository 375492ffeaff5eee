/** Shards that are read here and there, some of them open at a time. */
import { shardFormat } from "../../../data/reinforced/read.ts"
import type { LocalFile, Storage } from "../../../data/stores/storage.ts"
import { openRandomAccess } from "../../../host/files/files.ts"
import { RandomJsonl } from "./random-jsonl.ts"
import type { RandomShard } from "./random-shard.ts"
import { RandomTar } from "./random-tar.ts"

interface Opened {
  readonly shard: RandomShard
  readonly file: LocalFile
}

/** Copies of remote shards take the disk of as many. */
const mostOpen = 8

export class OpenShards implements AsyncDisposable {
  /** By URL, the one used longest ago first. */
  private readonly opened = new Map<string, Opened>()

  constructor(private readonly storage: Storage) {}

  /** Valid until the next call. Throws UserError on what is not a shard. */
  async get(url: string, signal?: AbortSignal): Promise<RandomShard> {
    const opened = this.opened.get(url) ?? (await this.open(url, signal))
    this.opened.delete(url)
    this.opened.set(url, opened)
    const [oldest] = this.opened.keys()
    if (this.opened.size > mostOpen) await this.close(oldest!)
    return opened.shard
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const url of [...this.opened.keys()]) await this.close(url)
  }

  private async open(url: string, signal?: AbortSignal): Promise<Opened> {
    const file = await this.storage.fetch(url, { signal })
    try {
      return { shard: await openShard(file.path), file }
    } catch (error) {
      await file[Symbol.asyncDispose]()
      throw error
    }
  }

  private async close(url: string): Promise<void> {
    const { shard, file } = this.opened.get(url)!
    this.opened.delete(url)
    await shard[Symbol.asyncDispose]()
    await file[Symbol.asyncDispose]()
  }
}

async function openShard(path: string): Promise<RandomShard> {
  const file = openRandomAccess(path)
  try {
    const format = shardFormat(file)
    return format === "tar" ? new RandomTar(path) : await RandomJsonl.open(path, format)
  } finally {
    file.close()
  }
}
