/**
 * Whether reinforced shards are what they should be: files against the hashes that were recorded, each sample by itself,
 * and a random choice of samples made again by the models.
 */
import { isInputError } from "../../../core/errors.ts"
import { noProgress, type Progress } from "../../../core/progress.ts"
import type { Problem, ReinforcedSample } from "../../../data/reinforced/sample.ts"
import { openStorage } from "../../../data/stores/open.ts"
import type { Storage } from "../../../data/stores/storage.ts"
import { type CaptionJob, type CheckSettings, defaultFormat, type EmbeddingJob, type Job } from "../../job/job.ts"
import { readJob } from "../../job/ledger.ts"
import { embeddingJob } from "../../job/stage-jobs.ts"
import { shareOut } from "../../local/resources.ts"
import { bringModels, openStage } from "../../stages/open-stage.ts"
import type { Stage } from "../../stages/stage.ts"
import { findShards, type Shard, type ShardSet, samplesOf } from "../find-shards.ts"
import { grouped } from "../grouped.ts"
import { overShards } from "../over-shards.ts"
import { RandomPick } from "../random-pick.ts"
import { type Chosen, readChosen } from "../read-chosen.ts"
import { type VerifyOptions, verifyDefaults } from "../tool-options.ts"
import { widthsOfUnitParts } from "../unit-parts.ts"
import type { ShardCheck, ShardProblem } from "./check-shard.ts"
import { type Recomputed, recompute } from "./recompute.ts"
import { RepeatedKeys } from "./repeated-keys.ts"

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
  return verifyBy(shards, options, (settings, set) => overShards("verify", settings, set.shards, options))
}

/** Looks at each shard of a set, in their order. */
type CheckShards = (settings: CheckSettings, set: ShardSet) => AsyncIterable<ShardCheck>

/** The same, where `check` says who looks at the shards. */
export async function verifyBy(
  shards: string | readonly string[],
  options: VerifyOptions,
  check: CheckShards,
): Promise<VerifyReport> {
  const { samples, startProgress = noProgress } = { ...verifyDefaults, ...options }
  const storage = openStorage()
  const set = await findShards(storage, [shards].flat())
  const job = samples > 0 ? await jobOf(storage, set, options.teachers) : null
  await using stage = job && (await openModels(job, options))
  const progress = startProgress("verify", set.shards.length, { unit: "shards" })
  const models = stage && job && { stage, job: job.stage }
  using run = new Verification(storage, set, await widthsOf(storage, set, options), models, { ...options, samples })
  await run.shards(check, progress)
  const report = await run.report()
  progress.done()
  return report
}

/** Samples whose vectors tell how wide the teachers are: the first that can be read. */
const samplesForWidths = 8

async function widthsOf(
  storage: Storage,
  { shards }: ShardSet,
  { teacherWidths, signal }: VerifyOptions,
): Promise<readonly number[] | null> {
  if (teacherWidths) return teacherWidths
  const early: ReinforcedSample[] = []
  for (const { url } of shards) {
    try {
      for await (const sample of samplesOf(storage, url, () => {}, signal)) {
        early.push(sample)
        if (early.length < samplesForWidths) continue
        return widthsOfUnitParts(early.flatMap(({ embeddings }) => [...embeddings.values()]))
      }
    } catch (error) {
      if (!isInputError(error)) throw error
    }
  }
  return null
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

class Verification implements Disposable {
  /** By the places of the shards that have any. */
  private readonly problems = new Map<number, readonly ShardProblem[]>()
  private readonly chosen: RandomPick<Chosen>
  private readonly keys = new RepeatedKeys()
  private checked = 0
  private samples = 0

  constructor(
    private readonly storage: Storage,
    private readonly set: ShardSet,
    private readonly teacherWidths: readonly number[] | null,
    /** Null where none are at hand. */
    private readonly models: Models | null,
    private readonly options: VerifyOptions & Required<Pick<VerifyOptions, "samples">>,
  ) {
    this.chosen = new RandomPick(options.samples, this.seed)
  }

  async shards(checkShards: CheckShards, progress: Progress): Promise<void> {
    const { teacherWidths, seed, options } = this
    const { shards } = this.set
    const identity = this.models?.stage.identity ?? null
    // Without models nothing is chosen.
    const samples = this.models ? options.samples : 0
    for await (const check of checkShards({ identity, teacherWidths, samples, seed }, this.set)) {
      this.add(shards[this.checked]!, check)
      progress.update(this.checked, `${this.samples} samples`)
    }
  }

  async report(): Promise<VerifyReport> {
    const { folder, unrecorded } = this.set
    const chosen = this.chosen.items()
    const recomputed = await this.recomputed(chosen)
    await this.noteRepeated()
    const unknown = unrecorded.map((name) => located(name, null, "the folder has no record of it: its job was stopped"))
    return {
      shards: this.checked,
      samples: this.samples,
      recorded: folder === null ? null : this.checked - this.problems.size,
      teacherWidths: this.teacherWidths,
      recomputed,
      problems: [...unknown, ...this.inShards(), ...inRecomputed(recomputed, chosen)],
    }
  }

  [Symbol.dispose](): void {
    this.keys[Symbol.dispose]()
  }

  private get seed(): number {
    return this.options.seed ?? verifyDefaults.seed
  }

  private add(shard: Shard, { samples, problems, hashes, chosen }: ShardCheck): void {
    if (problems.length > 0) this.problems.set(this.checked, problems)
    this.keys.add(this.checked, hashes)
    for (const key of chosen) this.chosen.offer(key, { shard, key })
    this.checked += 1
    this.samples += samples
  }

  private async recomputed(chosen: readonly Chosen[]): Promise<Recomputed | null> {
    const { models, storage, options } = this
    if (!models) return null
    const samples = await readChosen(storage, chosen, options.signal)
    return recompute(samples, models.stage, models.job, options.threshold ?? verifyDefaults.threshold)
  }

  /** Their keys were not kept: the shards that have them are read again. */
  private async noteRepeated(): Promise<void> {
    for (const [shard, repeated] of grouped(await this.keys.find(), ({ shard }) => shard)) {
      const places = new Set(repeated.map(({ sample }) => sample))
      const found: ShardProblem[] = []
      for await (const [sample, key] of this.keysAt(this.set.shards[shard]!, places))
        found.push({ at: sample + 1, key, reason: "an earlier sample has the same key" })
      const others = this.problems.get(shard) ?? []
      this.problems.set(
        shard,
        [...found, ...others].sort((a, b) => a.at - b.at),
      )
    }
  }

  private async *keysAt({ url }: Shard, places: ReadonlySet<number>): AsyncGenerator<[sample: number, key: string]> {
    let [sample, found] = [0, 0]
    for await (const { key } of samplesOf(this.storage, url, () => {}, this.options.signal)) {
      if (places.has(sample)) {
        yield [sample, key]
        if (++found === places.size) return
      }
      sample += 1
    }
  }

  private inShards(): LocatedProblem[] {
    const byPlace = [...this.problems].sort(([a], [b]) => a - b)
    return byPlace.flatMap(([place, problems]) =>
      problems.map(({ key, reason }) => located(this.set.shards[place]!.name, key, reason)),
    )
  }
}

function inRecomputed(recomputed: Recomputed | null, chosen: readonly Chosen[]): LocatedProblem[] {
  const shardOf = new Map(chosen.map(({ shard, key }) => [key, shard.name]))
  return (recomputed?.problems ?? []).map(({ key, reason }) => located(shardOf.get(key ?? "") ?? "", key, reason))
}

function located(shard: string, key: string | null, reason: string): LocatedProblem {
  return { shard, key, reason, action: "dropped" }
}
