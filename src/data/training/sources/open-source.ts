/** Opens a source of any format and decides which sample stands at which position. */

import { tmpdir } from "node:os"
import { join } from "node:path"
import { UserError } from "../../../core/errors.ts"
import { defaultTemplates } from "../../../core/text/prompts.ts"
import { makeDirectory } from "../../../host/files/files.ts"
import { type TemporaryFolder, temporaryFolder } from "../../../host/files/temporary.ts"
import { requireNoCredentials } from "../../../host/network/address.ts"
import { expandShards } from "../../expand.ts"
import { embeddingExtensions } from "../../reinforced/embeddings.ts"
import { pictureExtensions } from "../../reinforced/sample.ts"
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
import type { SampleList } from "./location.ts"
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

/** Throws UserError where the source does not exist, or has nothing of the format. */
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
  extends Pick<TrainingDataConfig, "templates" | "imageColumn" | "captionColumn" | "separator"> {
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
  const { source, seed, batchSize, ranks, resampled = false } = config
  const folder = await createFolder(config.temporaryFolder ?? tmpdir())
  const storage = openStorage({ temporaryFolder: folder.path })
  try {
    const urls = await expandShards(source, storage)
    const isRemote = !urls.every(isLocal)
    const wants = wantedMembers(config)
    let next = 0
    const temporaryPath = async () => join(folder.path, `unpacked-${next++}.jsonl`)
    const most = resampled && isRemote ? openShards(batchSize / ranks) : Number.POSITIVE_INFINITY
    const shards = new ShardSet(urls, storage, { wants, temporaryPath, report: countMissing(bad) }, most)
    const sampler = resampled
      ? new ShardSampler(
          shards,
          seed,
          batchSize,
          isRemote || (await isLarge(urls, storage)) ? fetchedDraws : singleDraws,
        )
      : new ListSampler(await joinShards(shards), seed, false)
    const dispose = async () => {
      await shards[Symbol.asyncDispose]()
      folder[Symbol.dispose]()
    }
    const identity = await shardIdentity(urls, sampler.samples, storage)
    return { sampler, format, notes: [], identity, [Symbol.asyncDispose]: dispose }
  } catch (error) {
    folder[Symbol.dispose]()
    throw error
  }
}

/** A shard may be opened again; a sample that it does not give counts once. */
function countMissing(bad: BadSamples): IndexOptions["report"] {
  return (url, { key, reason, action }) => {
    if (action !== "kept") bad.addMissing(url, `${url}: ${key === null ? "" : `${key}: `}${reason}`)
  }
}

/** Bytes of shards that are indexed before the first batch; a tar is read as a whole for that. */
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

/** The members that rows are made of. */
function wantedMembers(config: TrainingDataConfig): (extension: string) => boolean {
  const wanted = new Set([...pictureExtensions, "txt", "json"])
  if (isReinforced(config)) wanted.add("syn.json").add("paug.json")
  if (wantsEmbeddings(config)) for (const extension of Object.values(embeddingExtensions)) wanted.add(extension)
  if (config.view === "stored") wanted.add("paug.json")
  return (extension) => wanted.has(extension)
}

/** Whether synthetic captions, and embeddings unless they are left out, are asked for. */
export function isReinforced({ reinforced, format }: TrainingDataConfig): boolean {
  return reinforced ?? format === "reinforced"
}

export function wantsEmbeddings(config: TrainingDataConfig): boolean {
  return isReinforced(config) && (config.embeddings ?? true)
}
