/** What is in reinforced shards: counts, bytes, captions, pictures, vectors, and what the teachers agree on. */
import { isInputError, messageOf } from "../../../core/errors.ts"
import { readSamples } from "../../../data/reinforced/read.ts"
import type { Problem, ReinforcedSample } from "../../../data/reinforced/sample.ts"
import type { Storage } from "../../../data/stores/storage.ts"
import { joinUrl } from "../../job/output.ts"
import type { ShardSet } from "../find-shards.ts"
import { RandomPick } from "../random-pick.ts"
import { findTeacherWidths } from "../teacher-widths.ts"
import { type TeacherAgreement, teacherAgreement } from "./agreement.ts"
import {
  CaptionCollector,
  type CaptionStats,
  EmbeddingCollector,
  type EmbeddingStats,
  increment,
  PictureCollector,
  type PictureStats,
} from "./collectors.ts"
import { addMembers, type MemberBytes } from "./member-bytes.ts"
import { Counter, type Spread } from "./spread.ts"

export interface StatsOptions {
  /** Samples on which teachers are compared, and that are given back. */
  readonly samples: number
  /** Of their choice. */
  readonly seed: number
  /** Of the teachers; null: found in the vectors. */
  readonly teacherWidths: readonly number[] | null
  /** Behind the keys of the vectors that are compared. */
  readonly suffix: string
  readonly signal?: AbortSignal
  readonly onShard?: (shards: number, samples: number) => void
}

export interface StatsReport {
  readonly shards: number
  readonly samples: number
  /** Of the shards' files. */
  readonly bytes: number
  /** Content by kind of member, without an archive's headers and padding; empty for JSONL. */
  readonly members: Readonly<Record<string, MemberBytes>>
  readonly views: Spread | null
  readonly captions: Readonly<Record<string, CaptionStats>>
  readonly pictures: PictureStats
  readonly embeddings: Readonly<Record<string, EmbeddingStats>>
  readonly teacherWidths: readonly number[] | null
  readonly agreement: TeacherAgreement | null
  /** How often something was left out or noted, by reason: in failures.jsonl, and now. */
  readonly failures: Readonly<Record<string, number>>
}

export interface Stats {
  readonly report: StatsReport
  /** The samples that were chosen, for a contact sheet. */
  readonly chosen: readonly ReinforcedSample[]
}

export async function collectStats(storage: Storage, set: ShardSet, options: StatsOptions): Promise<Stats> {
  const run = new Collection(options)
  for (const { url } of set.shards) await run.shard(storage, url)
  if (set.folder !== null) await run.pastFailures(storage, set.folder)
  return run.result()
}

class Collection {
  private readonly chosen: RandomPick<ReinforcedSample>
  private readonly captions = new CaptionCollector()
  private readonly pictures = new PictureCollector()
  private readonly embeddings = new EmbeddingCollector()
  private readonly views = new Counter()
  private readonly members = new Map<string, MemberBytes>()
  private readonly failures = new Map<string, number>()
  private readonly totals = { shards: 0, samples: 0, bytes: 0 }

  constructor(private readonly options: StatsOptions) {
    this.chosen = new RandomPick(options.samples, options.seed)
  }

  async shard(storage: Storage, url: string): Promise<void> {
    const { signal, onShard } = this.options
    await using file = await storage.fetch(url, { signal })
    try {
      this.totals.bytes += await addMembers(file.path, this.members)
      for await (const sample of readSamples(file.path, (problem) => this.report(problem))) {
        signal?.throwIfAborted()
        await this.sample(sample)
      }
    } catch (error) {
      if (!isInputError(error)) throw error
      this.report({ reason: messageOf(error) })
    }
    this.totals.shards += 1
    onShard?.(this.totals.shards, this.totals.samples)
  }

  /** What the job that made the shards has left out. */
  async pastFailures(storage: Storage, folder: string): Promise<void> {
    const bytes = await storage.readBytes(joinUrl(folder, "failures.jsonl"))
    const lines = new TextDecoder().decode(bytes ?? new Uint8Array()).split("\n")
    for (const line of lines) if (line !== "") this.report(JSON.parse(line) as Problem)
  }

  result(): Stats {
    const { suffix } = this.options
    const chosen = this.chosen.items()
    const vectors = chosen.flatMap(({ embeddings }) => embeddings.get(`image_emb${suffix}`) ?? [])
    const teacherWidths = this.options.teacherWidths ?? findTeacherWidths(vectors)
    const report = {
      ...this.totals,
      members: Object.fromEntries([...this.members].sort(([, a], [, b]) => b.bytes - a.bytes)),
      views: this.views.spread(),
      captions: this.captions.result(),
      pictures: this.pictures.result(),
      embeddings: this.embeddings.result(),
      teacherWidths,
      agreement: teacherWidths && teacherAgreement(chosen, teacherWidths, suffix),
      failures: Object.fromEntries(this.failures),
    }
    return { report, chosen }
  }

  private async sample(sample: ReinforcedSample): Promise<void> {
    this.totals.samples += 1
    this.chosen.offer(sample.key, sample)
    this.captions.add(sample)
    this.embeddings.add(sample)
    if (sample.paramAug) this.views.add(sample.paramAug.length)
    try {
      await this.pictures.add(sample)
    } catch (error) {
      if (!isInputError(error)) throw error
      this.report({ reason: error.message })
    }
  }

  /** Reasons that differ in numbers only are one. */
  private report({ reason }: Pick<Problem, "reason">): void {
    increment(this.failures, reason.replaceAll(/\d+/g, "N"))
  }
}
