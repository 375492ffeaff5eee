/** What is in reinforced shards: counts, bytes, captions, pictures, vectors, and what the teachers agree on. */
import { isInputError, messageOf } from "../../../core/errors.ts"
import { noProgress, type Progress } from "../../../core/progress.ts"
import { readSamples } from "../../../data/reinforced/read.ts"
import type { Problem, ReinforcedSample } from "../../../data/reinforced/sample.ts"
import { openStorage } from "../../../data/stores/open.ts"
import type { Storage } from "../../../data/stores/storage.ts"
import { prepareFile, writeAtomically } from "../../../host/files/files.ts"
import { joinUrl } from "../../job/output.ts"
import { findShards } from "../find-shards.ts"
import { RandomPick } from "../random-pick.ts"
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
  const { contactSheet, signal, startProgress = noProgress, ...wanted } = { ...statsDefaults, ...options }
  const sheet = contactSheet && { ...contactSheetDefaults, ...contactSheet }
  const storage = openStorage()
  const set = await findShards(storage, [shards].flat())
  if (sheet) await prepareFile(sheet.file)
  const progress = startProgress("stats", set.shards.length, { unit: "shards" })
  const run = new Collection({ ...wanted, samples: Math.max(wanted.samples, sheet?.rows ?? 0) }, signal, progress)
  for (const { url } of set.shards) await run.shard(storage, url)
  if (set.folder !== null) await run.pastFailures(storage, set.folder)
  progress.done()
  if (sheet) await writeAtomically(sheet.file, [await drawContactSheet(run.chosen, sheet)])
  return run.report()
}

class Collection {
  private readonly pick: RandomPick<ReinforcedSample>
  private readonly captions = new CaptionCollector()
  private readonly pictures = new PictureCollector()
  private readonly embeddings = new EmbeddingCollector()
  private readonly views = new Counter()
  private readonly members = new Map<string, MemberBytes>()
  /** By the reason without its numbers. */
  private readonly failures = new Map<string, { readonly first: string; times: number }>()
  private readonly totals = { shards: 0, samples: 0, bytes: 0 }

  constructor(
    private readonly options: Pick<StatsOptions, "teacherWidths"> &
      Required<Pick<StatsOptions, "samples" | "seed" | "tagSuffix">>,
    private readonly signal: AbortSignal | undefined,
    private readonly progress: Progress,
  ) {
    this.pick = new RandomPick(options.samples, options.seed)
  }

  get chosen(): readonly ReinforcedSample[] {
    return this.pick.items()
  }

  async shard(storage: Storage, url: string): Promise<void> {
    const { signal } = this
    await using file = await storage.fetch(url, { signal })
    try {
      this.totals.bytes += await addMembers(file.path, this.members)
      for await (const sample of readSamples(file.path, (problem) => this.leftOut(problem))) {
        signal?.throwIfAborted()
        await this.sample(sample)
      }
    } catch (error) {
      if (!isInputError(error)) throw error
      this.leftOut({ reason: messageOf(error) })
    }
    this.totals.shards += 1
    this.progress.update(this.totals.shards, `${this.totals.samples} samples`)
  }

  /** What the job that made the shards has left out. */
  async pastFailures(storage: Storage, folder: string): Promise<void> {
    const bytes = await storage.readBytes(joinUrl(folder, "failures.jsonl"))
    const lines = new TextDecoder().decode(bytes ?? new Uint8Array()).split("\n")
    for (const line of lines) if (line !== "") this.leftOut(JSON.parse(line) as Problem)
  }

  report(): StatsReport {
    const { chosen } = this
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
      failures: Object.fromEntries([...this.failures.values()].map(({ first, times }) => [first, times])),
    }
  }

  private async sample(sample: ReinforcedSample): Promise<void> {
    this.totals.samples += 1
    this.pick.offer(sample.key, sample)
    this.captions.add(sample)
    this.embeddings.add(sample)
    if (sample.paramAug) this.views.add(sample.paramAug.length)
    try {
      await this.pictures.add(sample)
    } catch (error) {
      if (!isInputError(error)) throw error
      this.leftOut({ reason: error.message })
    }
  }

  private leftOut({ reason }: Pick<Problem, "reason">): void {
    const kind = reason.replaceAll(/\d+/g, "0")
    const failure = this.failures.get(kind) ?? { first: reason, times: 0 }
    failure.times += 1
    this.failures.set(kind, failure)
  }
}
