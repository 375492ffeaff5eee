/** What `reinforce verify` does with its options. */
import { UserError } from "../../../core/errors.ts"
import { openStorage } from "../../../data/stores/open.ts"
import type { Storage } from "../../../data/stores/storage.ts"
import type { Job } from "../../../reinforce/job/job.ts"
import { readJob } from "../../../reinforce/job/ledger.ts"
import { embeddingJob } from "../../../reinforce/job/stage-jobs.ts"
import { shareOut } from "../../../reinforce/local/resources.ts"
import { bringModels, openStage } from "../../../reinforce/stages/open-stage.ts"
import type { Stage } from "../../../reinforce/stages/stage.ts"
import { findShards, type ShardSet } from "../../../reinforce/tools/find-shards.ts"
import { compareShards } from "../../../reinforce/tools/verify/against.ts"
import { type VerifyReport, verifyShards } from "../../../reinforce/tools/verify/verify.ts"
import type { ProgressMode } from "../../progress.ts"
import { shownPull } from "../../pulling.ts"
import { type ResourceOptions, resourcesOf } from "../shard-options.ts"
import { embeddingRequest } from "../stage-options.ts"
import type { Output } from "../summary.ts"
import { shardProgress } from "./options.ts"
import { againstText, verifyText } from "./verify-text.ts"

export interface VerifyCommandOptions extends ResourceOptions {
  readonly samples: number
  readonly seed: number
  readonly threshold: number
  readonly teacherWidths?: readonly number[]
  readonly against?: string
  readonly modelName?: string
  readonly pretrained?: string
  readonly augConfig?: string
  readonly tagSuffix: string
  readonly progress: ProgressMode
  readonly json?: true
}

export async function runVerify(
  shards: readonly string[],
  options: VerifyCommandOptions,
  signal: AbortSignal,
  output: Output,
): Promise<void> {
  const storage = openStorage()
  const set = await findShards(storage, shards)
  if (options.against !== undefined) return compare(storage, set, options.against, options, output)
  const job = options.samples > 0 ? await jobOf(storage, set, options) : null
  const stage = job && (await openModels(job, options, signal, output))
  const progress = shardProgress(options.progress, "verify", set.shards.length)
  try {
    const report = await verifyShards(storage, set, {
      ...{ samples: options.samples, seed: options.seed, threshold: options.threshold, signal },
      models: stage && job && { stage, job: job.stage },
      teacherWidths: options.teacherWidths ?? null,
      onShard: (done, samples) => progress.show(done, samples),
    })
    progress.done()
    output.writeOut(`${options.json ? JSON.stringify(report, null, 2) : verifyText(report)}\n`)
    requireSound(report)
  } finally {
    await stage?.[Symbol.asyncDispose]()
  }
}

/** The job that made the shards, or one of the models that were named; null where neither is known. */
async function jobOf(storage: Storage, { folder }: ShardSet, options: VerifyCommandOptions): Promise<Job | null> {
  const { modelName, pretrained, augConfig, tagSuffix } = options
  if (modelName === undefined) {
    const job = folder === null ? null : await readJob(storage, folder)
    return job && "stage" in job ? job : null
  }
  const stage = embeddingJob(
    embeddingRequest({
      ...{ modelName, numSamples: 1, tagSuffix, synTextKeyRegex: "" },
      ...(pretrained !== undefined && { pretrained }),
      ...(augConfig !== undefined && { augConfig }),
    }),
  )
  const format = { output: "webdataset", embeddings: "npz", textEmbeddings: "separate", images: true } as const
  return { stage, format, seed: 0, minImageSize: 1 }
}

async function openModels(
  job: Job,
  options: VerifyCommandOptions,
  signal: AbortSignal,
  { writeErr }: Output,
): Promise<Stage> {
  const { resources } = shareOut(resourcesOf({ ...options, workers: 1 }), 1)
  const models = await bringModels(job, resources, {
    pull: shownPull(writeErr),
    onNote: (line) => writeErr(`${line}\n`),
    signal,
  })
  return openStage(job, models, resources)
}

async function compare(
  storage: Storage,
  ours: ShardSet,
  folder: string,
  { json, progress: mode }: VerifyCommandOptions,
  { writeOut }: Output,
): Promise<void> {
  const theirs = await findShards(storage, [folder])
  const progress = shardProgress(mode, "compare", ours.shards.length)
  let done = 0
  const report = await compareShards(storage, ours.shards, theirs.shards, () => progress.update(++done))
  progress.done()
  writeOut(`${json ? JSON.stringify(report, null, 2) : againstText(report)}\n`)
  const { differences } = report
  if (differences.length > 0) throw new UserError(`${differences.length} shards differ from those of ${folder}`)
}

function requireSound({ problems }: VerifyReport): void {
  const [first] = problems
  if (!first) return
  const where = [first.shard, ...(first.key === null ? [] : [first.key])].join(", ")
  throw new UserError(`${problems.length} problems; the first: ${where}: ${first.reason}`)
}
