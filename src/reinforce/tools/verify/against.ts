/** The outputs of two runs of one command, which must be the same byte for byte, shard by shard. */
import { noProgress, type StartProgress } from "../../../core/progress.ts"
import type { ReinforcedSample } from "../../../data/reinforced/sample.ts"
import { openStorage } from "../../../data/stores/open.ts"
import type { Storage } from "../../../data/stores/storage.ts"
import { sha256OfFile } from "../../../host/files/hash.ts"
import { findShards, type Shard, samplesOf } from "../find-shards.ts"
import { firstDifference } from "./compare.ts"

interface ShardDifference {
  readonly shard: string
  /** Null where it is not about one sample. */
  readonly key: string | null
  readonly reason: string
}

export interface AgainstOptions {
  readonly signal?: AbortSignal
  readonly startProgress?: StartProgress
}

export interface AgainstReport {
  readonly identical: number
  readonly differences: readonly ShardDifference[]
}

/**
 * Which shards of two runs differ, and in what first; shards are matched by their names.
 *
 * @param shards the output folder of a job, or any shards as `expandShards` takes them
 * @param against those of the other run
 * @throws UserError where one of them has no shard, or a shard cannot be read; the signal's reason between shards
 */
export async function compareShards(
  shards: string | readonly string[],
  against: string | readonly string[],
  { signal, startProgress = noProgress }: AgainstOptions = {},
): Promise<AgainstReport> {
  const storage = openStorage()
  const { shards: ours } = await findShards(storage, [shards].flat())
  const { shards: theirs } = await findShards(storage, [against].flat())
  const progress = startProgress("compare", ours.length, { unit: "shards" })
  const others = new Map(theirs.map((shard) => [baseOf(shard), shard]))
  const differences: ShardDifference[] = []
  for (const [i, shard] of ours.entries()) {
    signal?.throwIfAborted()
    const other = others.get(baseOf(shard))
    const difference = other
      ? await differenceOf(storage, shard, other)
      : { key: null, reason: "only the first run has it" }
    if (difference) differences.push({ shard: shard.name, ...difference })
    others.delete(baseOf(shard))
    progress.update(i + 1)
  }
  progress.done()
  for (const { name } of others.values()) {
    differences.push({ shard: name, key: null, reason: "only the other run has it" })
  }
  return { identical: ours.length - differences.length + others.size, differences }
}

/** Shards that were named by their URLs are matched by the last part. */
function baseOf({ name, url }: Shard): string {
  return name === url ? url.slice(url.lastIndexOf("/") + 1) : name
}

async function differenceOf(storage: Storage, a: Shard, b: Shard): Promise<Omit<ShardDifference, "shard"> | null> {
  if ((await hashOf(storage, a.url)) === (await hashOf(storage, b.url))) return null
  const [left, right] = [a, b].map(({ url }) => samplesOf(storage, url, () => {})[Symbol.asyncIterator]())
  try {
    return await firstDifferent(left!, right!)
  } finally {
    await Promise.all([left!.return(undefined), right!.return(undefined)])
  }
}

type Samples = AsyncIterator<ReinforcedSample>

async function firstDifferent(left: Samples, right: Samples): Promise<Omit<ShardDifference, "shard">> {
  for (;;) {
    const [a, b] = [await left.next(), await right.next()]
    if (a.done && b.done) return { key: null, reason: "all samples are equal, and the files are not" }
    if (a.done || b.done) {
      const { key } = (a.done ? b : a).value as ReinforcedSample
      return { key, reason: `only the ${a.done ? "other" : "first"} run has the sample` }
    }
    const reason = firstDifference(a.value, b.value)
    if (reason) return { key: a.value.key, reason }
  }
}

/** SHA-256 of the content, in hexadecimal. */
async function hashOf(storage: Storage, url: string): Promise<string> {
  await using file = await storage.fetch(url)
  return sha256OfFile(file.path)
}
