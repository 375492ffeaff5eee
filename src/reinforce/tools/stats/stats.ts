/** What is in reinforced shards: counts, bytes, captions, pictures, vectors, and what the teachers agree on. */
import { noProgress, type Progress } from "../../../core/progress.ts"
import type { Problem, ReinforcedSample } from "../../../data/reinforced/sample.ts"
import { openStorage } from "../../../data/stores/open.ts"
import type { Storage } from "../../../data/stores/storage.ts"
import { prepareFile, writeAtomically } from "../../../host/files/files.ts"
import type { CountSettings } from "../../job/job.ts"
import { joinUrl } from "../../job/output.ts"
import { findShards, type Shard, type ShardSet } from "../find-shards.ts"
import { overShards } from "../over-shards.ts"
import { RandomPick } from "../random-pick.ts"
import { type Chosen, readChosen } from "../read-chosen.ts"
import { contactSheetDefaults, type StatsOptions, statsDefaults } from "../tool-options.ts"
import { widthsOfUnitParts } from "../unit-parts.ts"
import { type TeacherAgreement, teacherAgreement } from "./agreement.ts"
import {
  addMembers,
  CaptionCollector,
  type CaptionStats,
  EmbeddingCollector,
  type EmbeddingStats,
  type MemberBytes,
  PictureCollector,
  type PictureStats,
} from "./collectors.ts"
import { drawContactSheet } from "./contact-sheet.ts"
import type { ShardCounts } from "./count-shard.ts"
import { Failures } from "./failures.ts"
import { Counter, type Spread } from "./spread.ts"

export interface StatsReport {
  readonly shards: number
  readonly samples: number
  /** Size of the shards' files. */
  readonly bytes: number
  /** Content by kind of member, without an archive's headers and padding; empty for JSONL. */
  readonly members: Readonly<Record<string, MemberBytes>>
  readonly views: Spread | null
  readonly captions: Readonly<Record<string, CaptionStats>>
  readonly pictures: PictureStats
  readonly embeddings: Readonly<Record<string, EmbeddingStats>>
  readonly teacherWidths: readonly number[] | null
  readonly agreement: TeacherAgreement | null
  /** How often something was left out or noted, in failures.jsonl and now, by the first of the reasons that differ in numbers only. */
  readonly failures: Readonly<Record<string, number>>
}

/**
 * Reads every shard once, and holds the samples that are chosen.
 *
 * @param shards the output folder of a job, with its record of what was left out, or any shards as `expandShards` takes
 *   them. One that cannot be read is counted among the failures
 * @throws UserError where there is no shard, EnvironmentError where the machine fails
 */
export async function shardStats(shards: string | readonly string[], options: StatsOptions = {}): Promise<StatsReport> {
  return statsBy(shards, options, (settings, set) => overShards("stats", settings, set.shards, options))
}

/** Counts each shard of a set, in their order. */
type CountShards = (settings: CountSettings, set: ShardSet) => AsyncIterable<ShardCounts>

/** The same, where `count` says who counts the shards. */
export async function statsBy(
  shards: string | readonly string[],
  options: StatsOptions,
  count: CountShards,
): Promise<StatsReport> {
  const { contactSheet, signal, startProgress = noProgress, ...wanted } = { ...statsDefaults, ...options }
  const sheet = contactSheet && { ...contactSheetDefaults, ...contactSheet }
  const storage = openStorage()
  const set = await findShards(storage, [shards].flat())
  if (sheet) await prepareFile(sheet.file)
  const progress = startProgress("stats", set.shards.length, { unit: "shards" })
  const run = new Collection({ ...wanted, samples: Math.max(wanted.samples, sheet?.rows ?? 0), signal })
  await run.shards(count, set, progress)
  if (set.folder !== null) await run.pastFailures(storage, set.folder)
  const chosen = await run.chosen(storage)
  progress.done()
  if (sheet) await writeAtomically(sheet.file, [await drawContactSheet(chosen, sheet)])
  return run.report(chosen)
}

interface CollectionOptions
  extends Pick<StatsOptions, "teacherWidths">,
    Required<Pick<StatsOptions, "samples" | "seed" | "tagSuffix">> {
  readonly signal: AbortSignal | undefined
}

class Collection {
  private readonly pick: RandomPick<Chosen>
  private readonly captions = new CaptionCollector()
  private readonly pictures = new PictureCollector()
  private readonly embeddings = new EmbeddingCollector()
  private readonly views = new Counter()
  private readonly members = new Map<string, MemberBytes>()
  private readonly failures = new Failures()
  private readonly totals = { shards: 0, samples: 0, bytes: 0 }

  constructor(private readonly options: CollectionOptions) {
    this.pick = new RandomPick(options.samples, options.seed)
  }

  async shards(countShards: CountShards, set: ShardSet, progress: Progress): Promise<void> {
    const { samples, seed } = this.options
    for await (const counts of countShards({ samples, seed }, set)) {
      this.add(set.shards[this.totals.shards]!, counts)
      progress.update(this.totals.shards, `${this.totals.samples} samples`)
    }
  }

  /** The samples on which teachers are compared, and of which a sheet is drawn. */
  chosen(storage: Storage): Promise<ReinforcedSample[]> {
    return readChosen(storage, this.pick.items(), this.options.signal)
  }

  /** What the job that made the shards has left out. */
  async pastFailures(storage: Storage, folder: string): Promise<void> {
    const bytes = await storage.readBytes(joinUrl(folder, "failures.jsonl"))
    const lines = new TextDecoder().decode(bytes ?? new Uint8Array()).split("\n")
    for (const line of lines) if (line !== "") this.failures.add((JSON.parse(line) as Problem).reason)
  }

  report(chosen: readonly ReinforcedSample[]): StatsReport {
    const { tagSuffix } = this.options
    const vectors = chosen.flatMap(({ embeddings }) => embeddings.get(`image_emb${tagSuffix}`) ?? [])
    const teacherWidths = this.options.teacherWidths ?? widthsOfUnitParts(vectors)
    return {
      ...this.totals,
      members: Object.fromEntries([...this.members].sort(([, a], [, b]) => b.bytes - a.bytes)),
      views: this.views.spread(),
      captions: this.captions.result(),
      pictures: this.pictures.result(),
      embeddings: this.embeddings.result(),
      teacherWidths,
      agreement: teacherWidths && teacherAgreement(chosen, teacherWidths, tagSuffix),
      failures: Object.fromEntries(this.failures.counted().map(({ first, times }) => [first, times])),
    }
  }

  private add(shard: Shard, counts: ShardCounts): void {
    this.totals.shards += 1
    this.totals.samples += counts.samples
    this.totals.bytes += counts.bytes
    addMembers(this.members, counts.members)
    this.views.addAll(counts.views)
    this.captions.addAll(counts.captions)
    this.pictures.addAll(counts.pictures)
    this.embeddings.addAll(counts.embeddings)
    this.failures.addAll(counts.failures)
    for (const key of counts.chosen) this.pick.offer(key, { shard, key })
  }
}
