/** A stage over all shards on this machine: what `reinforce caption` and `reinforce embed` do. */
import { fileURLToPath } from "node:url"
import { noProgress, type Progress, type StartProgress } from "../../core/progress.ts"
import { openStorage } from "../../data/stores/open.ts"
import { workerFile } from "../../host/worker-file.ts"
import { requireOneModel, requireSameModels } from "../job/compare.ts"
import type { Job } from "../job/job.ts"
import { Ledger } from "../job/ledger.ts"
import { writeSideFiles } from "../job/outcome.ts"
import { lockOutput } from "../job/output.ts"
import { ProcessPool } from "../pool/process-pool.ts"
import type { ShardTask } from "../runner.ts"
import { type BringOptions, bringModels, identityFromFiles } from "../stages/open-stage.ts"
import { type SettleOptions, settleType } from "../stages/settle-type.ts"
import { type ResourceRequest, type Shared, shareOut } from "./resources.ts"
import { type RunOutcome, type RunState, runShards } from "./run-shards.ts"
import type { WorkerSettings } from "./worker-program.ts"

export interface LocalOptions extends ResourceRequest, SettleOptions {
  /** Samples and shards that may be left out before the run stops. Default: any number. */
  readonly maxFailures?: number
  readonly startProgress?: StartProgress
}

/** Times a shard is begun: a worker that dies twice on the same shard is hardly innocent. */
const tries = 3

/**
 * Those of `tasks` that are not done yet, from `planShards`; what is done is recorded in `output`, so the same call goes on
 * where one was stopped.
 *
 * @param output a folder or the URL of one
 * @throws UserError where another process has the folder, or it was begun with another job or other models
 */
export async function reinforceLocally(
  given: Job,
  output: string,
  tasks: readonly ShardTask[],
  options: LocalOptions = {},
): Promise<RunOutcome> {
  const { startProgress = noProgress } = options
  using _ = await lockOutput(output, given.stage.kind === "caption" ? "caption" : "embed", options.signal)
  const storage = openStorage()
  const { resources } = shareOut(options, tasks.length)
  const { job, runtime } = await settleType(given, storage, output, resources, options)
  const ledger = await Ledger.open(storage, output, job, tasks, undefined, runtime ?? undefined)
  const completed = await ledger.completed(tasks)
  const progress = startProgress(job.stage.kind, tasks.length, { unit: "shards" })
  const state = new Rate(progress)
  requireOneModel(completed.values(), output)
  if (completed.size === tasks.length) await requireModelsOf(completed, job, output, options)
  const outcome =
    completed.size === tasks.length
      ? { results: [...completed.values()], failed: [], resumed: completed.size, stopped: null }
      : await runPool(job, output, tasks, completed, { ...options, onState: (now) => state.show(now) })
  // Where the machine fails, nothing that it writes is sure to arrive.
  if (!outcome.outage) await writeSideFiles(storage, output, job.format.output, outcome)
  progress.done()
  return outcome
}

/** Nothing is left to make, and no model is opened: what they are is found from their files, where that takes no time. */
async function requireModelsOf(
  completed: Awaited<ReturnType<Ledger["completed"]>>,
  job: Job,
  output: string,
  options: LocalOptions,
): Promise<void> {
  if (completed.size === 0) return
  const found = await identityFromFiles(job, shareOut(options, completed.size).resources)
  if ("identity" in found) requireSameModels(completed.values(), found.identity, output)
  else options.onNote?.(`nothing is left to make; the models were not looked at: ${found.unknown}`)
}

async function runPool(
  job: Job,
  output: string,
  tasks: readonly ShardTask[],
  completed: Awaited<ReturnType<Ledger["completed"]>>,
  options: LocalOptions & { readonly onState: (state: RunState) => void },
): Promise<RunOutcome> {
  const { maxFailures = Number.POSITIVE_INFINITY, signal, onState, onNote = () => {} } = options
  await using pool = await openPool(job, output, shareOut(options, tasks.length - completed.size), options)
  requireSameModels(completed.values(), pool.identity, output)
  const outcome = await runShards(tasks, pool, completed, {
    ...{ maxFailures, tries, onState, onNote },
    ...(signal && { signal }),
  })
  requireSameModels(outcome.results, pool.identity, output)
  return outcome
}

/** Worker processes that reinforce shards of a job. */
export async function openPool(
  job: Job,
  output: string,
  { workers, resources }: Shared,
  options: BringOptions & Partial<Pick<WorkerSettings, "recordedBy">>,
): Promise<ProcessPool> {
  const models = await bringModels(job, resources, options)
  const settings: WorkerSettings = { job, output, models, resources, recordedBy: options.recordedBy ?? "worker" }
  // Unless told, OpenMP takes every processor in every process.
  const environment = { OMP_NUM_THREADS: String(resources.threads) }
  const program = fileURLToPath(workerFile(import.meta.url, "worker-program"))
  return ProcessPool.open({ program, settings, processes: workers, environment })
}

/** Samples a second since the first note, in the detail of a bar of shards. */
class Rate {
  private first: { readonly samples: number; readonly at: number } | null = null

  constructor(private readonly progress: Progress) {}

  show({ shardsDone, samples, failures }: RunState): void {
    const now = performance.now() / 1000
    this.first ??= { samples, at: now }
    const seconds = now - this.first.at
    const rate = seconds > 0 ? (samples - this.first.samples) / seconds : 0
    const leftOut = failures > 0 ? `, ${failures} left out` : ""
    this.progress.update(shardsDone, `${samples} samples, ${rate.toFixed(1)} samples/s${leftOut}`)
  }
}
