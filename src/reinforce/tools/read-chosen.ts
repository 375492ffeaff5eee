/** The samples that a random choice over many shards fell on, read by themselves. */
import { UserError } from "../../core/errors.ts"
import type { ReinforcedSample } from "../../data/reinforced/sample.ts"
import type { Storage } from "../../data/stores/storage.ts"
import type { Shard } from "./find-shards.ts"
import { grouped } from "./grouped.ts"
import { OpenShards } from "./join/open-shards.ts"
import type { RandomShard, SampleLocation } from "./join/random-shard.ts"

export interface Chosen {
  readonly shard: Shard
  readonly key: string
}

/** In the order of the choice. Each shard is indexed once. Throws UserError where one has changed since. */
export async function readChosen(
  storage: Storage,
  chosen: readonly Chosen[],
  signal?: AbortSignal,
): Promise<ReinforcedSample[]> {
  await using shards = new OpenShards(storage)
  const byShard = grouped(chosen, ({ shard }) => shard.url)
  const samples = new Map<Chosen, ReinforcedSample>()
  for (const [url, wanted] of byShard) {
    signal?.throwIfAborted()
    const shard = await shards.get(url, signal)
    const locations = await locationsOf(shard, new Set(wanted.map(({ key }) => key)))
    for (const one of wanted) {
      const location = locations.get(one.key)
      if (!location) throw new UserError(`${url} has changed: ${one.key} is no longer in it`)
      samples.set(one, await shard.read(location, { packed: false }))
    }
  }
  return chosen.map((one) => samples.get(one)!)
}

/** By key; the first of two with one key. */
async function locationsOf(shard: RandomShard, keys: ReadonlySet<string>): Promise<Map<string, SampleLocation>> {
  const locations = new Map<string, SampleLocation>()
  for await (const location of shard.locations()) {
    if (keys.has(location.key) && !locations.has(location.key)) locations.set(location.key, location)
  }
  return locations
}
