/** Opens a source of any format and decides which sample stands at which position. */

import { tmpdir } from "node:os"
import { join } from "node:path"
import { UserError } from "../../../core/errors.ts"
import { defaultTemplates } from "../../../core/text/prompts.ts"
import { makeDirectory } from "../../../host/files/files.ts"
import { type TemporaryFolder, temporaryFolder } from "../../../host/files/temporary.ts"
import { requireNoCredentials } from "../../../host/network/address.ts"
import { usableProcessors } from "../../../host/processors.ts"
import { expandShards } from "../../expand.ts"
import { embeddingExtensions } from "../../reinforced/embeddings.ts"
import { pictureExtensions } from "../../reinforced/sample.ts"
import { trimIndexCache } from "../../sample-index/index-places.ts"
import { IndexPool } from "../../sample-index/index-pool.ts"
import { pathOf } from "../../stores/local.ts"
import { isLocal, isUrl, openStorage } from "../../stores/open.ts"
import type { Storage } from "../../stores/storage.ts"
import type { BadSamples } from "../bad-samples.ts"
import type { SourceFormat, TrainingDataConfig } from "../config.ts"
import { fetchedDraws, singleDraws } from "../order/order.ts"
import { ListSampler, openShards, type Sampler, ShardSampler } from "../order/sampler.ts"
import { listCsv } from "./csv.ts"
import { listFolder } from "./folder.ts"
import { listIdentity, shardIdentity } from "./identity.ts"
import { IndexMaking } from "./index-making.ts"
import type { SampleList } from "./location.ts"
import { OpenIndexes } from "./open-indexes.ts"
import { listJsonl } from "./pairs.ts"
import type { IndexOptions } from "./shard-index.ts"
import { joinShards, ShardSet } from "./shard-set.ts"
import { detectFormat } from "./source.ts"

export interface OpenSource extends AsyncDisposable {
  readonly sampler: Sampler
  readonly format: SourceFormat
  /** What was passed over, a line each. */
  readonly notes: readonly string[]
  /** What tells it from other data, wherever it is. */
  readonly identity: string
}

/** Throws UserError where the source does not exist, or has nothing of the format, and the reason of the signal. */
export async function openSource(config: TrainingDataConfig, bad: BadSamples): Promise<OpenSource> {
  const { source, format: given = "auto" } = config
  const format = given === "auto" ? await detectFormat(source) : given
  if (format === "shards" || format === "reinforced") return openShardSource(config, format, bad)
  const list = await openList(source, format, config)
  const dispose = async () => list.close?.()
  try {
    const sampler = new ListSampler(list, config.seed, config.resampled ?? false)
    const identity = await listIdentity(list)
    return { sampler, format, notes: list.notes ?? [], identity, [Symbol.asyncDispose]: dispose }
  } catch (error) {
    await dispose()
    throw error
  }
}

/** Formats that name pictures one by one. */
type ListFormat = Exclude<SourceFormat, "shards" | "reinforced">

export interface ListOptions
  extends Pick<
    TrainingDataConfig,
    "templates" | "imageColumn" | "captionColumn" | "separator" | "startProgress" | "signal"
  > {
  /** Keeps what rows have beside picture and caption. */
  readonly fields?: boolean
}

/** Throws UserError where the source does not exist, or has nothing of the format. */
export function openList(source: string, format: ListFormat, config: ListOptions): Promise<SampleList> {
  const path = pathOf(source)
  requireNoCredentials(path)
  if (isUrl(path)) throw new UserError(`${path}: ${format} sources are read from this machine`, "copy it first")
  switch (format) {
    case "folder":
      return listFolder(path, config.templates ?? defaultTemplates)
    case "csv":
      return listCsv(path, config)
    case "jsonl":
      return listJsonl(path, config)
    default:
      return format satisfies never
  }
}

async function openShardSource(
  config: TrainingDataConfig,
  format: "shards" | "reinforced",
  bad: BadSamples,
): Promise<OpenSource> {
  const resources = await ShardResources.open(config)
  const { storage, pool } = resources
  try {
    const urls = await expandShards(config.source, storage)
    const making = new IndexMaking(urls.length, config.startProgress)
    const most = mostOpenShards(config, urls.every(isLocal))
    const shards = new ShardSet(urls, storage, indexOptions(config, resources, bad, making), most)
    resources.shards = shards
    const sampler = await samplerOf(config, shards, storage)
    if (making.count > 0) await trimIndexCache()
    // Shards that are drawn are indexed when their turn comes.
    if (!config.resampled) await pool[Symbol.asyncDispose]()
    const identity = await shardIdentity(urls, sampler.samples, storage)
    const dispose = async () => {
      if (config.resampled && making.count > 0) await trimIndexCache()
      await resources[Symbol.asyncDispose]()
    }
    return { sampler, format, notes: making.end(), identity, [Symbol.asyncDispose]: dispose }
  } catch (error) {
    await resources[Symbol.asyncDispose]()
    throw error
  }
}

/** What shards are read with. */
class ShardResources implements AsyncDisposable {
  readonly storage: Storage
  readonly indexes = new OpenIndexes()
  readonly pool: IndexPool
  /** What is opened with them. */
  shards: ShardSet | null = null
  private unpacked = 0

  private constructor(
    config: TrainingDataConfig,
    private readonly folder: TemporaryFolder,
  ) {
    this.storage = openStorage({ temporaryFolder: folder.path })
    this.pool = new IndexPool(threadsFor(config))
  }

  static async open(config: TrainingDataConfig): Promise<ShardResources> {
    return new ShardResources(config, await createFolder(config.temporaryFolder ?? tmpdir()))
  }

  async temporaryPath(): Promise<string> {
    return join(this.folder.path, `unpacked-${this.unpacked++}.jsonl`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Shards that are still fetched or indexed write into the folder.
    await Promise.all([this.shards?.[Symbol.asyncDispose](), this.pool[Symbol.asyncDispose]()])
    this.indexes[Symbol.dispose]()
    this.folder[Symbol.dispose]()
  }
}

function indexOptions(
  config: TrainingDataConfig,
  resources: ShardResources,
  bad: BadSamples,
  making: IndexMaking,
): IndexOptions {
  const { indexes, pool } = resources
  return {
    ...{ indexes, pool, extensions: wantedMembers(config), report: countMissing(bad) },
    temporaryPath: () => resources.temporaryPath(),
    onMade: (reason) => making.add(reason),
  }
}

/** Each rank begins to open at another shard. */
async function samplerOf(config: TrainingDataConfig, shards: ShardSet, storage: Storage): Promise<Sampler> {
  const { seed, batchSize, rank, ranks, resampled, signal } = config
  if (!resampled) {
    const first = Math.floor((rank * shards.urls.length) / ranks)
    return new ListSampler(await joinShards(shards, { first, signal }), seed, false)
  }
  const isFar = !shards.urls.every(isLocal) || (await isLarge(shards.urls, storage))
  return new ShardSampler(shards, seed, batchSize, isFar ? fetchedDraws : singleDraws)
}

/** Local shards have no copies; of those that are drawn, so many keep what is known of them. */
const mostLocal = 1024

function mostOpenShards({ resampled, batchSize, ranks }: TrainingDataConfig, areLocal: boolean): number {
  if (!resampled) return Number.POSITIVE_INFINITY
  return areLocal ? mostLocal : openShards(batchSize / ranks)
}

/** Several ranks of one machine begin together. Beside training, two threads are enough. */
function threadsFor({ ranks, resampled }: TrainingDataConfig): number {
  const most = resampled ? 2 : 8
  return Math.max(1, Math.floor(Math.min(usableProcessors().count, 2 * most) / Math.min(ranks, most)))
}

/** A shard may be opened again; a sample that it does not give counts once. */
function countMissing(bad: BadSamples): IndexOptions["report"] {
  return (url, { key, reason, action }) => {
    if (action !== "kept") bad.addMissing(url, `${url}: ${key === null ? "" : `${key}: `}${reason}`)
  }
}

/** Bytes of local shards of which samples are drawn one by one. Of more, runs of a shard are taken: fewer are indexed at once. */
const mostBytes = 8 * 2 ** 30

async function isLarge(urls: readonly string[], storage: Storage): Promise<boolean> {
  let bytes = 0
  for (const url of urls) {
    bytes += (await storage.stat(url))?.bytes ?? 0
    if (bytes > mostBytes) return true
  }
  return false
}

async function createFolder(around: string): Promise<TemporaryFolder> {
  await makeDirectory(around)
  return temporaryFolder("training", around)
}

/** The extensions of members that rows are made of. */
function wantedMembers(config: TrainingDataConfig): readonly string[] {
  const wanted = new Set([...pictureExtensions, "txt", "json"])
  if (isReinforced(config)) wanted.add("syn.json").add("paug.json")
  if (wantsEmbeddings(config)) for (const extension of Object.values(embeddingExtensions)) wanted.add(extension)
  if (config.view === "stored") wanted.add("paug.json")
  return [...wanted]
}

/** Whether synthetic captions, and embeddings unless they are left out, are asked for. */
export function isReinforced({ reinforced, format }: TrainingDataConfig): boolean {
  return reinforced ?? format === "reinforced"
}

export function wantsEmbeddings(config: TrainingDataConfig): boolean {
  return isReinforced(config) && (config.embeddings ?? true)
}
