/**
 * Begins a job or joins one that runs, and queues what is neither queued nor done nor parked. Everything here may be
 * repeated, and done by several at once.
 */
import type { NatsConnection } from "@nats-io/transport-node"
import { assert, quoted, UserError } from "../../core/errors.ts"
import { differences, planHash, specHash } from "../job/compare.ts"
import { publishDefaults } from "../job/job.ts"
import { requireOutput } from "../job/output.ts"
import type { ShardTask } from "../runner.ts"
import { Completions } from "./server/completions.ts"
import { untilAnswered } from "./server/connection.ts"
import { createEntry, deleteEntry } from "./server/entries.ts"
import { parkedShards } from "./server/parking.ts"
import { publishTask, queuedIndices } from "./server/queue.ts"
import {
  answered,
  bucketStream,
  createJob,
  entryName,
  indicesOf,
  isPresent,
  type QueuedJob,
  readJob,
  removeJob,
} from "./server/queued-job.ts"
import {
  type Completion,
  type JobPolicy,
  type JobRecord,
  type Json,
  type Note,
  readRecord,
  schemas,
} from "./server/records.ts"
import { liveWorkers } from "./status.ts"

const { ackWaitSeconds: defaultAckWait, ...tries } = publishDefaults

export const defaultPolicy: JobPolicy = { ...tries, retrySeconds: 5 }

export interface JobOptions {
  readonly name: string
  /** What workers make their runner of. */
  readonly spec: Json
  /** URL of the folder that all outputs are in: workers write nowhere else. */
  readonly output: string
  /** Index i at place i. */
  readonly tasks: readonly ShardTask[]
  readonly policy?: Partial<JobPolicy>
  /** A shard whose worker is silent for so long is delivered to another one. */
  readonly ackWaitSeconds?: number
  /** Called where the server has no other job of this name, and before workers can see this one. */
  readonly onAccepted?: () => Promise<void>
  /** Told of entries on the server that are not what they should be. */
  readonly onNote?: Note
  /** Ends the waiting for a server that is away. */
  readonly signal?: AbortSignal
}

interface Published {
  readonly job: QueuedJob
  /** Read as they were before this call queued anything. */
  readonly completions: Completions
  /** The job was there before. */
  readonly attached: boolean
  /** Shards that this call queued. */
  readonly queued: number
}

/**
 * @throws UserError where an output is outside of the job's or that of two shards, or a job of this name was begun with another specification
 * or other shards, and somebody works on it, or it has made something
 */
export async function publishJob(connection: NatsConnection, options: JobOptions): Promise<Published> {
  const { name, tasks, policy, ackWaitSeconds = defaultAckWait, onNote = () => {}, signal } = options
  assert(
    tasks.every(({ index }, i) => index === i),
    "tasks are in the order of their indices",
  )
  for (const { output } of tasks) requireOutput(output, options.output)
  requireOwnOutputs(tasks)
  const create = () => untilAnswered(() => createJob(connection, name, ackWaitSeconds), signal)
  let job = await create()
  if (await givesWay(job, options)) {
    await removeJob(job)
    job = await create()
    onNote(`job ${name} was begun with another specification and has made nothing: it begins again`)
  }
  const attached = await beginOrAttach(job, options)
  await answered(job, () => job.control.put("policy", JSON.stringify({ ...defaultPolicy, ...policy })), signal)
  await answered(job, () => job.control.delete("stop"), signal)
  const completions = new Completions(job, (completion) => isPlanned(completion, tasks))
  const queued = await publishMissing(job, tasks, completions, { note: onNote, signal })
  await answered(job, () => job.control.put("published", "true"), signal)
  return { job, completions, attached, queued }
}

function requireOwnOutputs(tasks: readonly ShardTask[]): void {
  const inputs = new Map<string, string>()
  for (const { input, output } of tasks) {
    const other = inputs.get(output)
    if (other !== undefined) {
      throw new UserError(`${quoted(other)} and ${quoted(input)} would both be written to ${quoted(output)}`)
    }
    inputs.set(output, input)
  }
}

function isPlanned({ index, input, output }: Completion, tasks: readonly ShardTask[]): boolean {
  const task = tasks[index]
  return task?.input === input && task.output === output
}

async function beginOrAttach(
  job: QueuedJob,
  { spec, output, tasks, onAccepted = async () => {}, signal }: JobOptions,
): Promise<boolean> {
  const record: JobRecord = {
    ...{ spec, specHash: specHash(spec), output, shards: tasks.length, planHash: planHash(tasks) },
    at: Date.now(),
  }
  const before = await answered(job, () => readJob(job), signal)
  if (before) checkSame(job.name, before, record)
  await onAccepted()
  if (await createEntry(job, "control", "job", record, signal)) return false
  const there = await answered(job, () => readJob(job), signal)
  assert(there, "an entry that cannot be created is there")
  checkSame(job.name, there, record)
  return true
}

/** Whether a job of the same output, which nobody works on and which has made nothing, is another one than this. */
async function givesWay(job: QueuedJob, { spec, output, tasks, signal }: JobOptions): Promise<boolean> {
  const there = await answered(job, () => readJob(job), signal)
  if (!there || there.output !== output) return false
  if (there.specHash === specHash(spec) && there.planHash === planHash(tasks)) return false
  const done = await answered(job, () => indicesOf(job, bucketStream(job.name, "done"), ">"), signal)
  return done.size === 0 && (await answered(job, () => liveWorkers(job, () => {}), signal)).length === 0
}

function checkSame(name: string, there: JobRecord, here: JobRecord): void {
  const found = there.specHash === here.specHash ? [] : differences(there.spec, here.spec)
  if (there.output !== here.output) found.push(`its output is ${there.output} there and ${here.output} here`)
  if (found.length === 0 && there.planHash !== here.planHash) {
    const other = there.shards === here.shards ? "other URLs" : `${there.shards} there and ${here.shards} here`
    found.push(`its shards are others: ${other}`)
  }
  if (found.length === 0) return
  const listed = found.slice(0, 4).join("; ") + (found.length > 4 ? `; and ${found.length - 4} more` : "")
  throw new UserError(
    `job ${name} was begun with another specification: ${listed}`,
    "take another name with --job, or remove the old job",
  )
}

/** Queues the shards of which nothing is known; returns how many they were. */
export async function publishMissing(
  job: QueuedJob,
  tasks: readonly ShardTask[],
  completions: Completions,
  { note, signal }: { readonly note: Note; readonly signal: AbortSignal | undefined },
): Promise<number> {
  // The queue is read first: what leaves it meanwhile is found among those that are done or parked.
  const queued = await answered(job, () => queuedIndices(job), signal)
  await answered(job, () => completions.update(), signal)
  const parked = new Set((await answered(job, () => parkedShards(job, note), signal)).map(({ index }) => index))
  const missing = tasks.filter(({ index }) => !queued.has(index) && !completions.all.has(index) && !parked.has(index))
  let next = 0
  const publisher = async () => {
    for (let task = missing[next++]; task; task = missing[next++]) {
      if (completions.unreadable.has(String(task.index))) await removeForeign(job, task)
      await publishTask(job, task, signal)
    }
  }
  await Promise.all(Array.from({ length: Math.min(publishersAtOnce, missing.length) }, publisher))
  return missing.length
}

/** An entry by which the shard was made of something else: workers would take it for done. */
async function removeForeign(job: QueuedJob, task: ShardTask): Promise<void> {
  const key = String(task.index)
  const entry = await answered(job, () => job.done.get(key))
  if (!isPresent(entry)) return
  const found = readRecord(schemas.completion, entry, entryName(job, `done.${key}`), () => {})
  const isForeign = found?.index === task.index && (found.input !== task.input || found.output !== task.output)
  if (isForeign) await deleteEntry(job, "done", key, entry.revision)
}

/** Requests under way. */
const publishersAtOnce = 256
