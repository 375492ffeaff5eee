/**
 * Whether reinforced shards are what they should be: files against the hashes that were recorded, each sample by itself,
 * and a random choice of samples made again by the models.
 */
import { isInputError, messageOf } from "../../../core/errors.ts"
import { noProgress, type Progress } from "../../../core/progress.ts"
import { readSamples } from "../../../data/reinforced/read.ts"
import type { Problem, ReinforcedSample } from "../../../data/reinforced/sample.ts"
import { openStorage } from "../../../data/stores/open.ts"
import type { Storage } from "../../../data/stores/storage.ts"
import { sha256OfFile } from "../../../host/files/hash.ts"
import { pictureSize } from "../../../host/image/picture-size.ts"
import { type CaptionJob, defaultFormat, type EmbeddingJob, type Job } from "../../job/job.ts"
import { readJob } from "../../job/ledger.ts"
import { embeddingJob } from "../../job/stage-jobs.ts"
import { shareOut } from "../../local/resources.ts"
import { bringModels, openStage } from "../../stages/open-stage.ts"
import type { Stage } from "../../stages/stage.ts"
import { findShards, type Shard, type ShardSet } from "../find-shards.ts"
import { KeySet } from "../key-hash.ts"
import { RandomPick } from "../random-pick.ts"
import { type VerifyOptions, verifyDefaults } from "../tool-options.ts"
import { widthsOfUnitParts } from "../unit-parts.ts"
import { faultsOf } from "./faults.ts"
import { type Recomputed, recompute } from "./recompute.ts"

interface LocatedProblem extends Problem {
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

/**
 * Compares every file with its recorded hash, checks every sample, and has some made again by the models.
 *
 * @param shards the output folder of a job, with its records, or any shards as `expandShards` takes them
 * @throws UserError where there is no shard, or a model that is named cannot be opened; what is wrong with shards is in the
 *   report
 */
export async function verifyShards(
  shards: string | readonly string[],
  options: VerifyOptions = {},
): Promise<VerifyReport> {
  const { samples, startProgress = noProgress } = { ...verifyDefaults, ...options }
  const storage = openStorage()
  const set = await findShards(storage, [shards].flat())
  const job = samples > 0 ? await jobOf(storage, set, options.teachers) : null
  await using stage = job && (await openModels(job, options))
  const progress = startProgress("verify", set.shards.length, { unit: "shards" })
  const run = new Verification(storage, options, stage && job && { stage, job: job.stage }, progress)
  for (const name of set.unrecorded) run.problem(name, null, "the folder has no record of it: its job was stopped")
  for (const shard of set.shards) await run.shard(shard)
  const report = await run.report(set)
  progress.done()
  return report
}

/** The job that made the shards, or one of the teachers that are named; null where neither is known. */
async function jobOf(storage: Storage, { folder }: ShardSet, teachers: VerifyOptions["teachers"]): Promise<Job | null> {
  if (teachers) {
    const stage = embeddingJob({ ...teachers, numSamples: 1, synTextKeyRegex: "" })
    return { stage, format: defaultFormat, seed: 0, minImageSize: 1 }
  }
  const job = folder === null ? null : await readJob(storage, folder)
  return job && "stage" in job ? job : null
}

async function openModels(job: Job, options: VerifyOptions): Promise<Stage> {
  const { resources } = shareOut({ ...options, workers: 1 }, 1)
  return openStage(job, await bringModels(job, resources, options), resources)
}

/** Makes samples again. */
interface Models {
  readonly stage: Pick<Stage, "run" | "identity">
  readonly job: CaptionJob | EmbeddingJob
}

/** Samples whose vectors tell how wide the teachers are. */
const samplesForWidths = 8

class Verification {
  private readonly problems: LocatedProblem[] = []
  private readonly chosen: RandomPick<{ readonly shard: string; readonly sample: ReinforcedSample }>
  private readonly seen = new KeySet()
  private readonly early: ReinforcedSample[] = []
  private teacherWidths: readonly number[] | null
  private readonly threshold: number
  private readonly signal: AbortSignal | undefined
  private shards = 0
  private samples = 0
  private matching = 0

  constructor(
    private readonly storage: Storage,
    options: VerifyOptions,
    /** Null where none are at hand. */
    private readonly models: Models | null,
    private readonly progress: Progress,
  ) {
    const { samples, seed, threshold } = { ...verifyDefaults, ...options }
    this.teacherWidths = options.teacherWidths ?? null
    this.threshold = threshold
    this.signal = options.signal
    this.chosen = new RandomPick(samples, seed)
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
    this.progress.update(this.shards, `${this.samples} samples`)
  }

  async report(set: ShardSet): Promise<VerifyReport> {
    const { models, threshold } = this
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
    const { signal } = this
    await using file = await this.storage.fetch(url, { signal })
    const before = { problems: this.problems.length, samples: this.samples }
    const identity = this.models?.stage.identity
    // A join records no models.
    if (record?.models && identity !== undefined && record.models !== identity) {
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
    this.teacherWidths = widthsOfUnitParts(this.early.flatMap(({ embeddings }) => [...embeddings.values()]))
  }
}
