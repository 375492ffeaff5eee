/** The shards that a tool looks at: those of a job's output folder with their records, or any that a list names. */
import { UserError } from "../../core/errors.ts"
import { mapOrdered } from "../../core/parallel.ts"
import { expandShards } from "../../data/expand.ts"
import { readSamples } from "../../data/reinforced/read.ts"
import type { ReinforcedSample } from "../../data/reinforced/sample.ts"
import { shardLikeLists } from "../../data/reinforced/tar/side-files.ts"
import { pathOf } from "../../data/stores/local.ts"
import { isLocal } from "../../data/stores/open.ts"
import type { Storage } from "../../data/stores/storage.ts"
import { isDirectory } from "../../host/files/files.ts"
import { joinUrl } from "../job/output.ts"
import type { ShardResult } from "../runner.ts"
import type { Report } from "../stages/stage.ts"

export interface Shard {
  /** What comes after the folder; the whole URL of one that was named by itself. */
  readonly name: string
  readonly url: string
  /** What a job noted when the shard was complete. */
  readonly record: ShardResult | null
}

export interface ShardSet {
  /** That of the job; null where shards were named. */
  readonly folder: string | null
  readonly shards: readonly Shard[]
  /** Outputs of the folder without a record: of a job that was stopped, or not of it. */
  readonly unrecorded: readonly string[]
}

/** For whatever reads a shard through. */
export interface LookOptions {
  readonly signal?: AbortSignal | undefined
  /** Told of every sample that was looked at. */
  readonly onSample?: (() => void) | undefined
}

const parallelRequests = 32

const shardName = /\.(tar|jsonl|jsonl\.gz|jsonl\.zstd?)$/i

/** A record of a reinforcement job. Those of `mobileclip shards` are named by numbers, and its folder holds plain shards. */
const recordName = /^_done\/.+\.(tar|jsonl|jsonl\.gz|jsonl\.zstd?)\.json$/i

/** Throws UserError where there are no shards. */
export async function findShards(storage: Storage, input: readonly string[]): Promise<ShardSet> {
  const folder = input.length === 1 && (await isFolder(input[0]!)) ? input[0]! : null
  const names = folder === null ? [] : (await storage.list(folder)).filter((name) => !/(^|\/)\./.test(name))
  if (folder !== null && names.some((name) => recordName.test(name))) return recordedShards(storage, folder, names)
  const urls = await expandShards(input)
  return { folder: null, shards: urls.map((url) => ({ name: url, url, record: null })), unrecorded: [] }
}

/** What can be the folder of a job: here, whatever its name; elsewhere, neither a shard nor a list of several. A web server lists no files. */
async function isFolder(input: string): Promise<boolean> {
  if (isLocal(input) && (await isDirectory(pathOf(input)))) return true
  return !shardName.test(input) && !/[{}]|::|info\.json$|^https?:|(^|::)pipe:/i.test(input)
}

async function recordedShards(storage: Storage, folder: string, names: readonly string[]): Promise<ShardSet> {
  const records = names.filter((name) => recordName.test(name))
  const shards: Shard[] = []
  for await (const shard of mapOrdered(records, parallelRequests, (name) =>
    readShard(storage, folder, shardOf(name)),
  )) {
    // Nothing was written where no sample of the input was of use.
    if (shard.record!.samples > 0) shards.push(shard)
  }
  if (shards.length === 0) throw new UserError(`${folder} has records of shards without a sample only`)
  const recorded = new Set(shards.map(({ name }) => name))
  const isOutput = (name: string) =>
    shardName.test(name) && !shardLikeLists.includes(name) && !name.startsWith("_done/")
  return { folder, shards, unrecorded: names.filter((name) => isOutput(name) && !recorded.has(name)) }
}

/** The shard that a record, a path below the folder, is of. */
function shardOf(path: string): string {
  return path.slice("_done/".length, -".json".length)
}

/** A shard of a job, by its name in the job's output folder. Throws UserError where its record cannot be read. */
export async function readShard(storage: Storage, folder: string, name: string): Promise<Shard> {
  const url = joinUrl(folder, `_done/${name}.json`)
  const bytes = await storage.readBytes(url)
  try {
    const record = JSON.parse(new TextDecoder().decode(bytes!)) as ShardResult
    return { name, url: joinUrl(folder, name), record }
  } catch (error) {
    throw new UserError(`${url} is damaged`, "remove it, and the same command makes its shard again", { cause: error })
  }
}

/** The samples of one shard. Throws UserError where it cannot be read. */
export async function* samplesOf(
  storage: Storage,
  url: string,
  report: Report,
  signal?: AbortSignal,
): AsyncGenerator<ReinforcedSample> {
  await using file = await storage.fetch(url, { signal })
  for await (const sample of readSamples(file.path, report)) {
    signal?.throwIfAborted()
    yield sample
  }
}
