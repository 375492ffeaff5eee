/** The side of a join that is looked up by key: all of its shards, or the one that has the name of the image shard. */
import { isInputError, messageOf } from "../../../core/errors.ts"
import type { ReinforcedSample } from "../../../data/reinforced/sample.ts"
import type { Storage } from "../../../data/stores/storage.ts"
import { type Found, KeyIndex, type KeyIndexOptions, type Location } from "./key-index.ts"
import { OpenShards } from "./open-shards.ts"

export interface FailedReinforcement {
  readonly shard: string
  readonly reason: string
}

export interface LookupOptions extends KeyIndexOptions {
  readonly signal?: AbortSignal
  readonly onShard?: (shards: number) => void
}

/** Samples by key, over some shards. */
export class Reinforcements implements AsyncDisposable {
  /** Numbers of the keys that were taken. */
  private readonly taken: Uint8Array

  private constructor(
    private readonly urls: readonly string[],
    private readonly index: KeyIndex,
    private readonly shards: OpenShards,
    /** Shards that cannot be read. */
    readonly failed: readonly FailedReinforcement[],
  ) {
    this.taken = new Uint8Array(Math.ceil(index.size / 8))
  }

  /** Reads every shard once to learn its keys. A shard that cannot be read is noted, and the others serve. */
  static async open(storage: Storage, urls: readonly string[], options: LookupOptions = {}): Promise<Reinforcements> {
    const shards = new OpenShards(storage)
    const failed: FailedReinforcement[] = []
    try {
      const index = await KeyIndex.build(locationsIn(shards, urls, failed, options), options)
      return new Reinforcements(urls, index, shards, failed)
    } catch (error) {
      await shards[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Keys, each counted once. */
  get size(): number {
    return this.index.size
  }

  /** Samples whose key has an earlier location already. */
  get duplicates(): number {
    return this.index.duplicates.length
  }

  find(key: string): Found | null {
    return this.index.find(key)
  }

  /** Whether the location's sample serves an image already: every sample serves once. */
  isTaken({ rank }: Found): boolean {
    return (this.taken[rank >>> 3]! & (1 << (rank & 7))) !== 0
  }

  take({ rank }: Found): void {
    this.taken[rank >>> 3]! |= 1 << (rank & 7)
  }

  /** Throws UserError where the sample, or its shard, cannot be read any more. */
  async read(key: string, location: Location, packed: boolean): Promise<ReinforcedSample> {
    const shard = await this.shards.get(this.urls[location.shard]!)
    return shard.read({ key, ...location }, { packed })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.index[Symbol.dispose]()
    await this.shards[Symbol.asyncDispose]()
  }
}

async function* locationsIn(
  shards: OpenShards,
  urls: readonly string[],
  failed: FailedReinforcement[],
  { signal, onShard }: LookupOptions,
): AsyncGenerator<Location & { readonly key: string }> {
  for (const [shard, url] of urls.entries()) {
    signal?.throwIfAborted()
    try {
      const locations = (await shards.get(url, signal)).locations()
      for await (const { key, start, length } of locations) yield { key, shard, start, length }
    } catch (error) {
      if (!isInputError(error)) throw error
      failed.push({ shard: url, reason: messageOf(error) })
    }
    onShard?.(shard + 1)
  }
}
