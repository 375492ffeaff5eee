/**
 * Whether reinforced shards are what they should be: files against the hashes that were recorded, each sample by itself,
 * and a random choice of samples made again by the models.
 */
import { isInputError, messageOf } from "../../../core/errors.ts"
import { readSamples } from "../../../data/reinforced/read.ts"
import type { Problem, ReinforcedSample } from "../../../data/reinforced/sample.ts"
import type { Storage } from "../../../data/stores/storage.ts"
import { sha256OfFile } from "../../../host/files/hash.ts"
import { pictureSize } from "../../../host/image/picture-size.ts"
import type { CaptionJob, EmbeddingJob } from "../../job/job.ts"
import type { Stage } from "../../stages/stage.ts"
import type { Shard, ShardSet } from "../find-shards.ts"
import { KeySet } from "../key-hash.ts"
import { RandomPick } from "../random-pick.ts"
import { findTeacherWidths } from "../teacher-widths.ts"
import { faultsOf } from "./faults.ts"
import { type Recomputed, recompute } from "./recompute.ts"

export interface VerifyOptions {
  /** Samples that are made again. */
  readonly samples: number
  /** Of their choice. */
  readonly seed: number
  /** Makes them again; null where no models are at hand. */
  readonly models: { readonly stage: Pick<Stage, "run" | "identity">; readonly job: CaptionJob | EmbeddingJob } | null
  /** Least cosine of an embedding with the one made again. */
  readonly threshold: number
  /** Of the teachers; null: found in the vectors. */
  readonly teacherWidths: readonly number[] | null
  readonly signal?: AbortSignal
  readonly onShard?: (shards: number, samples: number) => void
}

export interface LocatedProblem extends Problem {
  readonly shard: string
}

export interface VerifyReport {
  readonly shards: number
  readonly samples: number
  /** Shards whose hash and count are those recorded; null where there are no records. */
  readonly recorded: number | null
  readonly teacherWidths: readonly number[] | null
  readonly recomputed: Recomputed | null
  /** Whatever is wrong; none where all is well. */
  readonly problems: readonly LocatedProblem[]
}

export async function verifyShards(storage: Storage, set: ShardSet, options: VerifyOptions): Promise<VerifyReport> {
  const run = new Verification(storage, options)
  for (const name of set.unrecorded) run.problem(name, null, "the folder has no record of it: its job was stopped")
  for (const shard of set.shards) await run.shard(shard)
  return run.report(set)
}

/** Samples whose vectors tell how wide the teachers are. */
const samplesForWidths = 8

class Verification {
  private readonly problems: LocatedProblem[] = []
  private readonly chosen: RandomPick<{ readonly shard: string; readonly sample: ReinforcedSample }>
  private readonly seen = new KeySet()
  private readonly early: ReinforcedSample[] = []
  private teacherWidths: readonly number[] | null
  private shards = 0
  private samples = 0
  private matching = 0

  constructor(
    private readonly storage: Storage,
    private readonly options: VerifyOptions,
  ) {
    this.teacherWidths = options.teacherWidths
    this.chosen = new RandomPick(options.samples, options.seed)
  }

  problem(shard: string, key: string | null, reason: string): void {
    this.problems.push({ shard, key, reason, action: "dropped" })
  }

  async shard(shard: Shard): Promise<void> {
    try {
      await this.check(shard)
    } catch (error) {
      if (!isInputError(error)) throw error
      this.problem(shard.name, null, messageOf(error))
    }
    this.shards += 1
    this.options.onShard?.(this.shards, this.samples)
  }

  async report(set: ShardSet): Promise<VerifyReport> {
    const { models, threshold } = this.options
    const chosen = this.chosen.items()
    const recomputed = models
      ? await recompute(
          chosen.map(({ sample }) => sample),
          models.stage,
          models.job,
          threshold,
        )
      : null
    const shardOf = new Map(chosen.map(({ shard, sample }) => [sample.key, shard]))
    for (const { key, reason } of recomputed?.problems ?? []) this.problem(shardOf.get(key ?? "") ?? "", key, reason)
    return {
      shards: this.shards,
      samples: this.samples,
      recorded: set.folder === null ? null : this.matching,
      teacherWidths: this.teacherWidths,
      recomputed,
      problems: this.problems,
    }
  }

  private async check({ name, url, record }: Shard): Promise<void> {
    const { signal } = this.options
    await using file = await this.storage.fetch(url, { signal })
    const before = { problems: this.problems.length, samples: this.samples }
    const identity = this.options.models?.stage.identity
    if (record && identity !== undefined && record.models !== identity) {
      this.problem(name, null, `it was made by ${record.models}, and the models now are ${identity}`)
    }
    if (record && (await sha256OfFile(file.path)) !== record.sha256) {
      this.problem(name, null, "its content is not what was recorded when it was complete (sha256)")
    }
    const report = ({ key, reason }: Problem) => this.problem(name, key, reason)
    for await (const sample of readSamples(file.path, report)) {
      signal?.throwIfAborted()
      await this.sample(name, sample)
    }
    const samples = this.samples - before.samples
    if (record && samples !== record.samples) {
      this.problem(name, null, `it holds ${samples} samples, and ${record.samples} were recorded`)
    }
    if (this.problems.length === before.problems) this.matching += 1
  }

  private async sample(shard: string, sample: ReinforcedSample): Promise<void> {
    this.samples += 1
    this.learnWidths(sample)
    this.chosen.offer(sample.key, { shard, sample })
    if (!this.seen.add(sample.key)) this.problem(shard, sample.key, "an earlier sample has the same key")
    for (const reason of await this.faults(sample)) this.problem(shard, sample.key, reason)
  }

  private async faults(sample: ReinforcedSample): Promise<string[]> {
    const { teacherWidths } = this
    try {
      const picture = sample.image && (await pictureSize(sample.image.bytes, "its picture"))
      return faultsOf(sample, { picture, teacherWidths })
    } catch (error) {
      if (!isInputError(error)) throw error
      return [error.message, ...faultsOf(sample, { picture: null, teacherWidths })]
    }
  }

  /** The first samples are checked without, and have to be of whole length all the same. */
  private learnWidths(sample: ReinforcedSample): void {
    if (this.teacherWidths || this.early.length === samplesForWidths) return
    this.early.push(sample)
    if (this.early.length < samplesForWidths) return
    this.teacherWidths = findTeacherWidths(this.early.flatMap(({ embeddings }) => [...embeddings.values()]))
  }
}
