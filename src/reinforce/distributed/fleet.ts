/** A stage over all shards on the machines of a NATS server: what `reinforce run`, `worker` and `status` do. */
import { createHash } from "node:crypto"
import type { NatsConnection } from "@nats-io/transport-node"
import { quoted, UserError } from "../../core/errors.ts"
import { noProgress, type StartProgress } from "../../core/progress.ts"
import { openStorage } from "../../data/stores/open.ts"
import type { Storage } from "../../data/stores/storage.ts"
import { durationText } from "../../report/numbers.ts"
import { requireOneModel, requireSameModels } from "../job/compare.ts"
import type { Job, QueueJob } from "../job/job.ts"
import { parseJob } from "../job/job-schema.ts"
import { Ledger } from "../job/ledger.ts"
import { writeSideFiles } from "../job/outcome.ts"
import { lockOutput, requireInRoots } from "../job/output.ts"
import { openPool } from "../local/local.ts"
import { type ResourceRequest, type Shared, shareOut } from "../local/resources.ts"
import type { RunOutcome } from "../local/run-shards.ts"
import type { ProcessPool } from "../pool/process-pool.ts"
import type { ModelRunner, ShardResult, ShardTask } from "../runner.ts"
import type { BringOptions } from "../stages/open-stage.ts"
import { type SettledJob, type SettleOptions, settleType } from "../stages/settle-type.ts"
import { openCheckPool } from "../tools/verify/check-pool.ts"
import { type JobOutcome, type RunProgress, runDistributed } from "./run-distributed.ts"
import { connectNats } from "./server/connection.ts"
import type { NatsSettings } from "./server/nats-settings.ts"
import { type Retried, retryParked } from "./server/parking.ts"
import { answered, findJob, noLongerThere, type QueuedJob, readJob, removeJob } from "./server/queued-job.ts"
import type { Completion } from "./server/records.ts"
import { serverId } from "./server/server-id.ts"
import { type JobStatus, jobStatus } from "./status.ts"
import type { AttemptEvent } from "./worker/attempt.ts"
import { runWorker, type WorkerSummary, waitForJob } from "./worker/worker.ts"

export interface PublishOptions extends Pick<SettleOptions, "chooseType" | "pull"> {
  /** Its name on the server. Default: by the stage and the output. */
  readonly name?: string
  /** Times that a shard is begun before it is parked. */
  readonly maxTries?: number
  /** Seconds without progress after which a shard is abandoned. */
  readonly stallSeconds?: number
  /** Seconds for which a worker may be silent before its shards go to others. */
  readonly ackWaitSeconds?: number
  /** Samples and shards that may be left out before the job stops. Default: any number. */
  readonly maxFailures?: number
  readonly signal?: AbortSignal
  readonly startProgress?: StartProgress
  /** Gets a line about what happens. */
  readonly onNote?: (line: string) => void
}

/**
 * Queues `tasks`, from `planShards`, and waits until workers have made them; a job that runs is joined. `chooseType`
 * measures on this machine, which needs the models for it; all workers follow.
 */
export async function runOnWorkers(
  nats: NatsSettings,
  given: Job,
  output: string,
  tasks: readonly ShardTask[],
  options: PublishOptions = {},
): Promise<RunOutcome> {
  using _ = await lockOutput(output, "run", options.signal)
  const storage = openStorage()
  const { job, runtime } = await settledHere(given, storage, output, options)
  const name = options.name ?? jobName(job.stage.kind, output)
  const outcome = await workOff(nats, { name, job, output, tasks, runtime }, options)
  await writeSideFiles(storage, output, job.format.output, outcome)
  return outcome
}

export interface QueuedWork {
  readonly name: string
  readonly job: QueueJob
  readonly output: string
  readonly tasks: readonly ShardTask[]
  readonly runtime?: SettledJob["runtime"]
}

/** What workers made of a job that is queued, or joined. The lock of its output is held. */
export async function workOff(nats: NatsSettings, work: QueuedWork, options: PublishOptions): Promise<RunOutcome> {
  const { name, job, output, tasks, runtime } = work
  const storage = openStorage()
  await Ledger.check(storage, output, job, tasks, { name })
  return connected(nats, "reinforce run", async (connection) => {
    options.onNote?.(`job ${name}: workers join with \`mobileclip reinforce worker --nats URL --job ${name}\``)
    // The server knows whether others work there: nothing is written before it has accepted the job.
    const queue = { name, server: await serverId(connection, options.signal) }
    const onAccepted = async () => void (await Ledger.open(storage, output, job, tasks, queue, runtime ?? undefined))
    const found = await follow(connection, name, job, output, tasks, { ...options, onAccepted })
    const ledger = await Ledger.open(storage, output, job)
    return await outcomeOf(found, ledger, tasks, options.onNote)
  })
}

/** Only what is to be chosen is measured: who queues a job need not have its models. */
async function settledHere(job: Job, storage: Storage, output: string, options: PublishOptions): Promise<SettledJob> {
  if (!options.chooseType) return { job, runtime: null }
  return settleType(job, storage, output, shareOut({}, 1).resources, options)
}

interface FollowOptions extends PublishOptions {
  readonly onAccepted: () => Promise<void>
}

/** Begins the job, or joins it, and shows how far it is. */
async function follow(
  connection: NatsConnection,
  name: string,
  job: QueueJob,
  output: string,
  tasks: readonly ShardTask[],
  { maxTries, stallSeconds, ackWaitSeconds, startProgress = noProgress, ...options }: FollowOptions,
): Promise<JobOutcome> {
  const progress = startProgress("stage" in job ? job.stage.kind : "check", tasks.length, { unit: "shards" })
  const found = await runDistributed(connection, {
    ...options,
    name,
    spec: JSON.parse(JSON.stringify(job)),
    ...{ output, tasks },
    policy: { ...(maxTries !== undefined && { maxTries }), ...(stallSeconds !== undefined && { stallSeconds }) },
    ...(ackWaitSeconds !== undefined && { ackWaitSeconds }),
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

/**
 * From the records beside the output, which hold every problem, and which only those can write who may write the output;
 * the server has the first few, and what others put there.
 */
async function outcomeOf(
  { completions, parked, models }: JobOutcome,
  ledger: Ledger,
  tasks: readonly ShardTask[],
  onNote: (line: string) => void = () => {},
): Promise<RunOutcome> {
  const done = await ledger.completed(tasks)
  const results = [...done.values()]
  for (const entry of completions) noteOther(entry, done.get(entry.index), onNote)
  if (models === null) requireOneModel(results, ledger.folder)
  else requireSameModels(results, models, ledger.folder)
  const failed = parked
    .filter(({ index }) => !done.has(index))
    .map(({ index, reason, tries }) => ({ task: tasks[index]!, reason: `parked after ${tries} tries: ${reason}` }))
  const missing = tasks.length - results.length - failed.length
  if (missing > 0) {
    throw new UserError(
      `${missing} ${missing === 1 ? "shard is" : "shards are"} done by the server's word, and not in ${ledger.folder}`,
      "workers must write to the same storage; `reinforce status --remove` and the same command make them again",
    )
  }
  return { results, failed, resumed: 0, stopped: null }
}

function noteOther(entry: Completion, made: ShardResult | undefined, onNote: (line: string) => void): void {
  if (!made || (made.models === entry.models && made.sha256 === entry.sha256)) return
  const what = made.models === entry.models ? "of other bytes" : `made by ${quoted(entry.models)}`
  onNote(`the server says that shard ${entry.index} is ${what}; the record beside the output counts`)
}

/** The same for the same output, so that the same command finds its job again. */
export function jobName(stage: string, output: string): string {
  return `${stage}-${createHash("sha256").update(output).digest("hex").slice(0, 8)}`
}

export interface JoinJobOptions extends ResourceRequest, BringOptions {
  /** The job's name on the server. Default: the only one, or the first that comes. */
  readonly job?: string
  /** Shown in the status. Default: the machine's. */
  readonly name?: string
  /** Folders and URLs that a job's output must be in; none: any output. */
  readonly outputRoots?: readonly string[]
  readonly onEvent?: (event: AttemptEvent) => void
}

/**
 * Works on a job until it is done, in one process unless more are asked for; null where the signal came before a job.
 *
 * @throws UserError where the job cannot be read, writes elsewhere, or everything fails here
 */
export function joinJob(nats: NatsSettings, options: JoinJobOptions = {}): Promise<WorkerSummary | null> {
  return connected(nats, "reinforce worker", (connection) => workOn(connection, options))
}

async function workOn(connection: NatsConnection, options: JoinJobOptions): Promise<WorkerSummary | null> {
  const { signal, onNote = () => {}, onEvent, name, outputRoots = [] } = options
  onNote("waiting for a job")
  const queued = await waitForJob(connection, options.job, signal)
  if (!queued) return null
  const record = await answered(queued, () => readJob(queued), signal)
  if (!record) throw noLongerThere(queued)
  const { output } = record
  await requireInRoots(output, outputRoots)
  const job = parseJob(record.spec, `job ${queued.name} on the server`)
  const shared = shareOut({ workers: 1, ...options }, Number.POSITIVE_INFINITY)
  const opening = "stage" in job ? "opening its models" : "looking at shards"
  onNote(`job ${queued.name}: to ${quoted(output)}; ${opening} in ${shared.workers} processes`)
  await using pool = await poolFor(job, output, shared, options)
  return await runWorker(queued, await recording(pool, job, output), {
    ...(signal && { leave: signal }),
    ...(name !== undefined && { name }),
    ...(onEvent && { onEvent }),
    onNote,
  })
}

function poolFor(job: QueueJob, output: string, shared: Shared, options: BringOptions): Promise<ProcessPool> {
  if ("stage" in job) return openPool(job, output, shared, { ...options, recordedBy: "caller" })
  return openCheckPool({ job, output }, shared.workers)
}

/** What a pool has made counts when its worker says so: until then, no record speaks of it. */
export async function recording(pool: ModelRunner, job: QueueJob, output: string): Promise<ModelRunner> {
  const storage = openStorage()
  const ledger = await Ledger.open(storage, output, job)
  return {
    slots: pool.slots,
    identity: pool.identity,
    run: (task, options) => pool.run(task, options),
    // The process that queued it looks for its own text, and may have another working folder.
    record: (result) => ledger.record(result, result.input),
    async discard(result) {
      // An earlier run has made it, and said so.
      const recorded = await ledger.read(result)
      if (recorded?.sha256 !== result.sha256) await storage.remove(result.output)
    },
    [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
  }
}

/** How far a job is. `name` may be left out where the server has one job; throws UserError where it has none of the name. */
export function statusOnServer(nats: NatsSettings, name?: string): Promise<JobStatus> {
  return withJob(nats, name, jobStatus)
}

/** Puts parked shards back into the queue, as if they had never been tried; for the names see `statusOnServer`. */
export function retryOnServer(
  nats: NatsSettings,
  name?: string,
  onNote?: (line: string) => void,
): Promise<Retried & { readonly job: string }> {
  return withJob(nats, name, async (queued) => ({ job: queued.name, ...(await retryParked(queued, onNote)) }))
}

/** Removes the queue and what is known of a job, and gives its name; outputs stay. For the names see `statusOnServer`. */
export function removeFromServer(nats: NatsSettings, name?: string): Promise<string> {
  return withJob(nats, name, async (queued) => {
    await removeJob(queued)
    return queued.name
  })
}

function withJob<T>(nats: NatsSettings, name: string | undefined, use: (job: QueuedJob) => Promise<T>): Promise<T> {
  return connected(nats, "reinforce status", async (connection) => {
    const queued = await findJob(connection, name)
    if (!queued) throw new UserError(`there is no job${name ? ` named ${name}` : ""} on the server`)
    return await use(queued)
  })
}

/** @param name shown in the server's list of connections, after that of this project */
async function connected<T>(
  nats: NatsSettings,
  name: string,
  use: (connection: NatsConnection) => Promise<T>,
): Promise<T> {
  const connection = await connectNats(nats, `mobileclip ${name}`)
  try {
    return await use(connection)
  } finally {
    await connection.close()
  }
}
