/** A stage over all shards on the machines of a NATS server: what `reinforce run`, `worker` and `status` do. */
import { createHash } from "node:crypto"
import type { NatsConnection } from "@nats-io/transport-node"
import { quoted, UserError } from "../../core/errors.ts"
import { openStorage } from "../../data/stores/open.ts"
import type { AttemptEvent } from "../../reinforce/distributed/attempt.ts"
import { connectNats } from "../../reinforce/distributed/connection.ts"
import { findJob, readJob, removeJob } from "../../reinforce/distributed/job.ts"
import { requireInRoots } from "../../reinforce/distributed/output-roots.ts"
import { type Retried, retryParked } from "../../reinforce/distributed/parked.ts"
import { type JobOutcome, type RunProgress, runDistributed } from "../../reinforce/distributed/run.ts"
import { natsSettings } from "../../reinforce/distributed/settings.ts"
import { jobStatus } from "../../reinforce/distributed/status.ts"
import { runWorker, waitForJob } from "../../reinforce/distributed/worker.ts"
import { writeSideFiles } from "../../reinforce/files.ts"
import { type Job, requireOneModel, requireSameModels } from "../../reinforce/job.ts"
import { parseJob } from "../../reinforce/job-schema.ts"
import { Ledger } from "../../reinforce/ledger.ts"
import type { RunOutcome } from "../../reinforce/run.ts"
import type { ShardTask } from "../../reinforce/runner.ts"
import { durationText } from "../../report/numbers.ts"
import { progressReporter } from "../progress.ts"
import { jobStatusText } from "./job-status.ts"
import { openPool } from "./local.ts"
import { lockOutput } from "./output-lock.ts"
import { jobOf, planOf, type ResourceOptions, type ShardOptions, shareOut } from "./shard-options.ts"
import { finish, type Output, planText } from "./summary.ts"

export interface NatsOptions {
  readonly nats?: string
  /** Its name on the server. */
  readonly job?: string
}

export interface RunOptions extends ShardOptions, NatsOptions {
  readonly maxTries: number
  readonly stallTimeout: number
  readonly ackWait: number
}

export async function runOnWorkers(
  stage: Job["stage"],
  options: RunOptions,
  signal: AbortSignal,
  output: Output,
): Promise<void> {
  const job = jobOf(stage, options)
  const tasks = await planOf(options)
  if (options.dryRun) return output.writeOut(planText(job, tasks, null, options.json))
  using _ = await lockOutput(options.output, "run")
  const storage = openStorage()
  const ledger = await Ledger.open(storage, options.output, job, tasks)
  const connection = await connect(options, "reinforce run")
  try {
    const name = options.job ?? jobName(stage.kind, options.output)
    output.writeErr(`job ${name}: workers join with \`mobileclip reinforce worker --nats URL\`\n`)
    const found = await follow(connection, name, job, tasks, options, signal, output)
    const outcome = await outcomeOf(found, ledger, tasks)
    await writeSideFiles(storage, options.output, job.format.output, outcome)
    finish(outcome, options, output)
  } finally {
    await connection.close()
  }
}

/** Begins the job, or joins it, and shows how far it is. */
async function follow(
  connection: NatsConnection,
  name: string,
  job: Job,
  tasks: readonly ShardTask[],
  options: RunOptions,
  signal: AbortSignal,
  { writeErr }: Output,
): Promise<JobOutcome> {
  const progress = progressReporter(options.progress)(job.stage.kind, tasks.length, { unit: "shards" })
  const found = await runDistributed(connection, {
    name,
    spec: JSON.parse(JSON.stringify(job)),
    output: options.output,
    tasks,
    policy: { maxTries: options.maxTries, stallSeconds: options.stallTimeout },
    ackWaitSeconds: options.ackWait,
    maxFailures: options.maxFailures,
    signal,
    onNote: (text) => writeErr(`${text}\n`),
    onProgress: (now) => progress.update(now.done + now.parked, detailOf(now)),
  })
  progress.done()
  return found
}

function detailOf({ workers, samples, samplesPerSecond, failures, secondsLeft, serverAway }: RunProgress): string {
  if (serverAway) return "the server is away; workers go on with what they have"
  const parts = [`${workers} workers`, `${samples} samples`, `${samplesPerSecond.toFixed(1)} samples/s`]
  if (failures > 0) parts.push(`${failures} left out`)
  if (secondsLeft) parts.push(`${durationText(secondsLeft)} left`)
  return parts.join(", ")
}

/** From the records beside the output, which hold every problem; the server has the first few. */
async function outcomeOf(found: JobOutcome, ledger: Ledger, tasks: readonly ShardTask[]): Promise<RunOutcome> {
  const { completions, parked, models } = found
  const done = await ledger.completed(tasks)
  const results = [...done.values()]
  const made = [...completions, ...results]
  if (models === null) requireOneModel(made, ledger.folder)
  else requireSameModels(made, models, ledger.folder)
  const failed = parked
    .filter(({ index }) => !done.has(index))
    .map(({ index, reason, tries }) => ({ task: tasks[index]!, reason: `parked after ${tries} tries: ${reason}` }))
  const missing = tasks.length - results.length - failed.length
  if (missing > 0) {
    throw new UserError(
      `${missing} shards are done by the server's word, and not in ${ledger.folder}`,
      "workers must write to the same storage; `reinforce status --remove` and the same command make them again",
    )
  }
  return { results, failed, resumed: 0, stopped: null }
}

/** The same for the same output, so that the same command finds its job again. */
function jobName(stage: string, output: string): string {
  return `${stage}-${createHash("sha256").update(output).digest("hex").slice(0, 8)}`
}

export interface WorkerOptions extends NatsOptions, ResourceOptions {
  readonly name?: string
  /** Folders and URLs that a job's output must be in; none: any output. */
  readonly outputRoot?: readonly string[]
}

export async function work(options: WorkerOptions, signal: AbortSignal, { writeErr, writeOut }: Output): Promise<void> {
  const connection = await connect(options, "reinforce worker")
  try {
    writeErr("waiting for a job\n")
    const queued = await waitForJob(connection, options.job, signal)
    if (!queued) return
    const record = await readJob(queued)
    if (!record) throw new UserError(`job ${queued.name} is no longer on the server`)
    const { output } = record
    await requireInRoots(output, options.outputRoot ?? [])
    const job = parseJob(record.spec, `job ${queued.name} on the server`)
    const shared = shareOut(
      { ...options, workers: options.workers ?? options.maxActors ?? 1 },
      Number.POSITIVE_INFINITY,
    )
    writeErr(`job ${queued.name}: to ${quoted(output)}; opening its models in ${shared.workers} processes\n`)
    await using pool = await openPool(job, output, shared, { signal, writeErr })
    const summary = await runWorker(queued, pool, {
      leave: signal,
      ...(options.name === undefined ? {} : { name: options.name }),
      onEvent: (event) => writeErr(`${eventText(event)}\n`),
      onNote: (text) => writeErr(`${text}\n`),
    })
    writeOut(`${JSON.stringify(summary)}\n`)
  } finally {
    await connection.close()
  }
}

function eventText(event: AttemptEvent): string {
  if (event.kind === "done") return `shard ${event.completion.index}: ${event.completion.samples} samples`
  if (event.kind === "malformed" && event.index === null) return `a message was dropped: ${event.reason}`
  const reason = "reason" in event ? ` (${event.reason})` : ""
  return `shard ${event.index}: ${eventNames[event.kind]}${reason}`
}

const eventNames = {
  doneElsewhere: "done elsewhere",
  failed: "failed",
  parked: "parked",
  released: "released",
  returned: "back to the queue, as this machine failed",
  malformed: "parked",
} as const satisfies Record<Exclude<AttemptEvent["kind"], "done">, string>

export interface StatusOptions extends NatsOptions {
  readonly retryParked?: true
  readonly remove?: true
  readonly json?: true
}

export async function showStatus(options: StatusOptions, { writeOut, writeErr }: Output): Promise<void> {
  const connection = await connect(options, "reinforce status")
  try {
    const queued = await findJob(connection, options.job)
    if (!queued) throw new UserError(`there is no job${options.job ? ` named ${options.job}` : ""} on the server`)
    if (options.remove) {
      await removeJob(queued)
      return writeErr(`job ${queued.name} was removed; its outputs stay where they are\n`)
    }
    if (options.retryParked) {
      writeErr(retriedText(await retryParked(queued, (text) => writeErr(`${text}\n`))))
    }
    const status = await jobStatus(queued)
    writeOut(options.json ? `${JSON.stringify(status, null, 2)}\n` : jobStatusText(status, Date.now()))
  } finally {
    await connection.close()
  }
}

function retriedText({ queued, forgotten }: Retried): string {
  const back = `${queued} shards are back in the queue\n`
  return forgotten === 0 ? back : `${back}${forgotten} more come back with the same \`reinforce run\`\n`
}

async function connect({ nats }: NatsOptions, name: string): Promise<NatsConnection> {
  return connectNats(await natsSettings(nats, process.env), `mobileclip ${name}`)
}
