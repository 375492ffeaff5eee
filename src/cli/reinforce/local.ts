/** A stage over all shards on this machine: what `reinforce caption` and `reinforce embed` do. */
import { fileURLToPath } from "node:url"
import type { Progress } from "../../core/progress.ts"
import { openStorage } from "../../data/stores/open.ts"
import { writeSideFiles } from "../../reinforce/files.ts"
import { type Job, requireOneModel, requireSameModels } from "../../reinforce/job.ts"
import { Ledger } from "../../reinforce/ledger.ts"
import { ProcessPool } from "../../reinforce/pool/process-pool.ts"
import { type RunOutcome, type RunState, runShards } from "../../reinforce/run.ts"
import type { ShardTask } from "../../reinforce/runner.ts"
import { progressReporter } from "../progress.ts"
import { lockOutput } from "./output-lock.ts"
import {
  jobOf,
  planOf,
  type ResourceOptions,
  type ShardOptions,
  type Shared,
  shareOut,
  unusedOptions,
} from "./shard-options.ts"
import { bringModels } from "./stage.ts"
import { finish, type Output, planText } from "./summary.ts"
import type { WorkerSettings } from "./worker-settings.ts"

/** Times a shard is begun: a worker that dies twice on the same shard is hardly innocent. */
const tries = 3

export async function reinforceLocally(
  stage: Job["stage"],
  options: ShardOptions & ResourceOptions,
  signal: AbortSignal,
  output: Output,
): Promise<void> {
  for (const line of unusedOptions(options)) output.writeErr(`${line}\n`)
  const job = jobOf(stage, options)
  const tasks = await planOf(options)
  if (options.dryRun) return output.writeOut(planText(job, tasks, shareOut(options, tasks.length), options.json))
  using _ = await lockOutput(options.output, stage.kind === "caption" ? "caption" : "embed")
  const storage = openStorage()
  const ledger = await Ledger.open(storage, options.output, job, tasks)
  const completed = await ledger.completed(tasks)
  const progress = progressReporter(options.progress)(stage.kind, tasks.length, { unit: "shards" })
  const state = new Rate(progress)
  requireOneModel(completed.values(), options.output)
  const outcome =
    completed.size === tasks.length
      ? { results: [...completed.values()], failed: [], resumed: completed.size, stopped: null }
      : await runPool(job, tasks, completed, options, {
          signal,
          onState: (now) => state.show(now),
          writeErr: output.writeErr,
        })
  // Where the machine fails, nothing that it writes is sure to arrive.
  if (!outcome.outage) await writeSideFiles(storage, options.output, job.format.output, outcome)
  progress.done()
  finish(outcome, options, output)
}

interface Listeners {
  readonly signal: AbortSignal
  readonly onState: (state: RunState) => void
  /** Licences, progress of downloads and notes. */
  readonly writeErr: (text: string) => void
}

async function runPool(
  job: Job,
  tasks: readonly ShardTask[],
  completed: Awaited<ReturnType<Ledger["completed"]>>,
  options: ShardOptions & ResourceOptions,
  { signal, onState, writeErr }: Listeners,
): Promise<RunOutcome> {
  const shared = shareOut(options, tasks.length - completed.size)
  await using pool = await openPool(job, options.output, shared, { signal, writeErr })
  requireSameModels(completed.values(), pool.identity, options.output)
  const onNote = (text: string) => writeErr(`${text}\n`)
  const { maxFailures } = options
  const outcome = await runShards(tasks, pool, completed, { maxFailures, tries, signal, onState, onNote })
  requireSameModels(outcome.results, pool.identity, options.output)
  return outcome
}

/** Worker processes that reinforce shards of a job. */
export async function openPool(
  job: Job,
  output: string,
  { workers, resources }: Shared,
  { signal, writeErr }: Pick<Listeners, "signal" | "writeErr">,
): Promise<ProcessPool> {
  const models = await bringModels(job, resources, writeErr, signal)
  const settings: WorkerSettings = { job, output, models, resources }
  // Unless told, OpenMP takes every processor in every process.
  const environment = {
    OMP_NUM_THREADS: String(resources.threads),
    // This process has said it.
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true",
  }
  return ProcessPool.open({ program: builtFile("./worker.js"), settings, processes: workers, environment })
}

/** A file beside this one as it was built: a forked process runs JavaScript, also where this is a test's TypeScript. */
function builtFile(path: string): string {
  const here = import.meta.url.replace(/\/src\/cli\/reinforce\/(\w+)\.ts$/, "/dist/src/cli/reinforce/$1.js")
  return fileURLToPath(new URL(path, here))
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
