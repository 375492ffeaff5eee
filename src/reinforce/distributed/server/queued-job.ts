/**
 * A job on the server: the queue of its shards and what is known of them.
 *
 *     stream `mobileclip-<job>`            a message a shard on `mobileclip.<job>.shard.<index>`, gone when acknowledged
 *     bucket `mobileclip-<job>-control`    `job`, `policy`, `models`, `published`, `stop`, `attempts.<index>`,
 *                                        `parked.<index>`
 *     bucket `mobileclip-<job>-done`       `<index>`: completions
 *     bucket `mobileclip-<job>-workers`    `<id>`: who is there; an entry lives as long as it is renewed
 */
import {
  AckPolicy,
  DiscardPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
} from "@nats-io/jetstream"
import { type KV, type KvEntry, Kvm } from "@nats-io/kv"
import { type NatsConnection, nanos } from "@nats-io/transport-node"
import { quoted, UserError } from "../../../core/errors.ts"
import { isAway, requestTimeout, untilAnswered } from "./connection.ts"
import { type JobRecord, type Note, parseRecord, readRecord, schemas } from "./records.ts"

export interface QueuedJob {
  readonly name: string
  readonly connection: NatsConnection
  readonly js: JetStreamClient
  readonly jsm: JetStreamManager
  readonly control: KV
  readonly done: KV
  readonly workers: KV
}

type Bucket = "control" | "done" | "workers"

const prefix = "mobileclip-"
export const consumerName = "workers"

/** Seconds an entry of a worker outlives its last renewal. */
const workerLifetime = 30

export function streamOf(job: string): string {
  return `${prefix}${job}`
}

export function subjectOf(job: string, index: number | "*"): string {
  return `mobileclip.${job}.shard.${index}`
}

/** The stream that a bucket is kept in. */
export function bucketStream(job: string, bucket: Bucket): string {
  return `KV_${prefix}${job}-${bucket}`
}

/** Makes the queue and the buckets, or finds them: the job begins with its record in `control`. */
export async function createJob(connection: NatsConnection, name: string, ackWaitSeconds: number): Promise<QueuedJob> {
  if (!/^[-A-Za-z0-9_]{1,60}$/.test(name)) {
    throw new UserError(`${quoted(name)} is not a name for a job: letters, digits, "-" and "_", at most 60`)
  }
  const job = await bind(connection, name)
  const buckets = new Kvm(job.js)
  for (const bucket of ["control", "done"]) await buckets.create(`${prefix}${name}-${bucket}`, { history: 1 })
  await buckets.create(`${prefix}${name}-workers`, { history: 1, ttl: workerLifetime * 1000 })
  await job.jsm.streams.add({
    name: streamOf(name),
    subjects: [subjectOf(name, "*")],
    retention: RetentionPolicy.Workqueue,
    storage: StorageType.File,
    // What is queued already is refused, however often and by however many it is published.
    max_msgs_per_subject: 1,
    discard: DiscardPolicy.New,
    discard_new_per_subject: true,
  })
  await job.jsm.consumers.add(streamOf(name), {
    durable_name: consumerName,
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(ackWaitSeconds * 1000),
    max_deliver: -1,
    // The defaults, 1,000 shards under way and 512 workers that wait, are for small fleets.
    max_ack_pending: 1_000_000,
    max_waiting: 65_536,
  })
  return job
}

async function bind(connection: NatsConnection, name: string): Promise<QueuedJob> {
  const js = jetstream(connection, { timeout: requestTimeout })
  const jsm = await jetstreamManager(connection, { timeout: requestTimeout, checkAPI: false })
  const buckets = new Kvm(js)
  const open = (bucket: string) => buckets.open(`${prefix}${name}-${bucket}`)
  return {
    ...{ name, connection, js, jsm },
    control: await open("control"),
    done: await open("done"),
    workers: await open("workers"),
  }
}

/** The job with this name, or the only one there is; null where there is none. Throws UserError where names are needed. */
export async function findJob(connection: NatsConnection, name?: string): Promise<QueuedJob | null> {
  const names = await jobNames(connection)
  if (name === undefined && names.length > 1) {
    throw new UserError(`the server has ${names.length} jobs: ${names.join(", ")}`, "name one with --job")
  }
  const found = name === undefined ? names[0] : names.find((one) => one === name)
  if (found === undefined) return null
  try {
    const job = await bind(connection, found)
    return isPresent(await job.control.get("job")) ? job : null
  } catch (error) {
    // A stream by the name of one, without what belongs to it: being made, being removed, or somebody else's.
    if (isGone(error)) return null
    throw error
  }
}

export async function jobNames(connection: NatsConnection): Promise<string[]> {
  const jsm = await jetstreamManager(connection, { timeout: requestTimeout, checkAPI: false })
  const names: string[] = []
  for await (const stream of jsm.streams.names()) if (stream.startsWith(prefix)) names.push(stream.slice(prefix.length))
  return names.sort()
}

/** Null where the job is not begun yet. Throws UserError where its record cannot be read. */
export async function readJob(job: QueuedJob): Promise<JobRecord | null> {
  const entry = await job.control.get("job")
  return isPresent(entry) ? parseRecord(schemas.job, entry, entryName(job, "job")) : null
}

/** An entry of `control`; null where there is none, and, with a note, where it cannot be read. */
export async function readControl<T>(
  job: QueuedJob,
  key: string,
  schema: Parameters<typeof readRecord<T>>[0],
  note: Note,
): Promise<T | null> {
  const entry = await job.control.get(key)
  return isPresent(entry) ? readRecord(schema, entry, entryName(job, key), note) : null
}

/** For messages. */
export function entryName(job: QueuedJob, key: string): string {
  return `${quoted(key)} of job ${job.name}`
}

export function isPresent(entry: KvEntry | null): entry is KvEntry {
  return entry !== null && entry.operation === "PUT"
}

/** Indices of shards with a subject that matches. */
export async function indicesOf(job: QueuedJob, stream: string, filter: string): Promise<Set<number>> {
  const { state } = await job.jsm.streams.info(stream, { subjects_filter: filter })
  const indices = Object.keys(state.subjects ?? {}).map(indexOfSubject)
  return new Set(indices.filter((index) => index !== null))
}

/** The last token of a subject where it is the index of a shard as this program writes it; else null. */
export function indexOfSubject(subject: string): number | null {
  const token = subject.slice(subject.lastIndexOf(".") + 1)
  const index = Number(token)
  return Number.isSafeInteger(index) && index >= 0 && String(index) === token ? index : null
}

/** The subject that a key of a bucket has in its stream. */
export function keySubject(job: string, bucket: Bucket, key: string): string {
  return `$KV.${prefix}${job}-${bucket}.${key}`
}

/** Removes the queue and everything known of the job; outputs stay where they are. */
export async function removeJob(job: QueuedJob): Promise<void> {
  for (const stream of streamsOf(job)) {
    try {
      await untilAnswered(() => job.jsm.streams.delete(stream))
    } catch (error) {
      if (!isGone(error)) throw error
    }
  }
}

/**
 * `untilAnswered` for requests about a job. Where its streams are away, as after a server's folder was lost, nobody answers,
 * as while the server starts: so between two tries the server is asked for them.
 *
 * @throws UserError where the server no longer has them; like `untilAnswered` where the signal comes
 */
export async function answered<T>(job: QueuedJob, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  try {
    return await untilAnswered(work, signal, () => requireThere(job))
  } catch (error) {
    throw isGone(error) ? noLongerThere(job) : error
  }
}

/** @throws UserError where the server is there and says that it does not have the job's streams */
export async function requireThere(job: QueuedJob): Promise<void> {
  try {
    for (const stream of streamsOf(job)) await job.jsm.streams.info(stream)
  } catch (error) {
    if (isGone(error)) throw noLongerThere(job)
    if (!isAway(error)) throw error
  }
}

export function noLongerThere({ name }: Pick<QueuedJob, "name">): UserError {
  return new UserError(`job ${name} is no longer on the server`, "the same `reinforce run` begins it again")
}

function streamsOf({ name }: QueuedJob): string[] {
  return [streamOf(name), ...(["control", "done", "workers"] as const).map((bucket) => bucketStream(name, bucket))]
}

/** Whether the stream that was asked for is no longer there. */
export function isGone(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound
}
