/** Where a job stands. */
import { UserError } from "../../core/errors.ts"
import { Completions } from "./completions.ts"
import { untilAnswered } from "./connection.ts"
import { bucketStream, isGone, isPresent, type Job, keySubject, readControl, readJob } from "./job.ts"
import { parkedShards } from "./parked.ts"
import { jobConsumer } from "./queue.ts"
import { type ParkedShard, parseRecord, schemas, type WorkerRecord } from "./records.ts"

export interface JobStatus {
  readonly job: string
  /** All shards; those that are neither queued, in flight, done nor parked are still to be published. */
  readonly shards: number
  readonly queued: number
  readonly inFlight: number
  readonly done: number
  readonly parked: readonly ParkedShard[]
  readonly workers: readonly WorkerRecord[]
  /** In finished outputs. */
  readonly samples: number
  /** Samples that are missing from finished outputs. */
  readonly dropped: number
  readonly bytes: number
  /** Of all workers together, over their last minute. */
  readonly samplesPerSecond: number
  /** Null while nobody can tell. */
  readonly secondsLeft: number | null
  /** Why the job was stopped, if it was. */
  readonly stopped: string | null
}

/** Reads every completion: a second or two for 65,536 shards. Throws UserError where the job was removed. */
export async function jobStatus(job: Job): Promise<JobStatus> {
  try {
    return await untilAnswered(() => snapshot(job))
  } catch (error) {
    if (isGone(error)) throw new UserError(`job ${job.name} is no longer on the server`)
    throw error
  }
}

async function snapshot(job: Job): Promise<JobStatus> {
  const record = await readJob(job)
  const consumer = await (await jobConsumer(job)).info()
  const completions = new Completions(job)
  await completions.update()
  const done = completions.all
  const parked = (await parkedShards(job)).filter(({ task }) => !done.has(task.index))
  const workers = await liveWorkers(job)
  const samplesPerSecond = totalRate(workers)
  const shards = record?.shards ?? 0
  const { samples } = completions.totals
  return {
    job: job.name,
    shards,
    queued: consumer.num_pending,
    inFlight: consumer.num_ack_pending,
    done: done.size,
    parked,
    workers,
    ...completions.totals,
    samplesPerSecond,
    secondsLeft: secondsLeft({
      shards: shards - done.size - parked.length,
      done: done.size,
      samples,
      samplesPerSecond,
    }),
    stopped: (await readControl(job, "stop", schemas.stop))?.reason ?? null,
  }
}

/** In the order of their names. */
export async function liveWorkers(job: Job): Promise<WorkerRecord[]> {
  const entries = await Promise.all((await workerKeys(job)).map((key) => job.workers.get(key)))
  const records = entries.filter(isPresent).map((entry) => parseRecord(schemas.worker, entry, `worker ${entry.key}`))
  return records.sort((a, b) => (a.id < b.id ? -1 : 1))
}

export function totalRate(workers: readonly WorkerRecord[]): number {
  return workers.reduce((sum, { samplesPerSecond }) => sum + samplesPerSecond, 0)
}

/** Shards that are left are taken to be like those that are done. */
export function secondsLeft(state: {
  /** Neither done nor parked. */
  readonly shards: number
  readonly done: number
  readonly samples: number
  readonly samplesPerSecond: number
}): number | null {
  if (state.shards <= 0) return 0
  if (state.done === 0 || state.samples === 0 || state.samplesPerSecond === 0) return null
  return (state.shards * (state.samples / state.done)) / state.samplesPerSecond
}

async function workerKeys(job: Job): Promise<string[]> {
  const filter = keySubject(job.name, "workers", "*")
  const { state } = await job.jsm.streams.info(bucketStream(job.name, "workers"), { subjects_filter: filter })
  return Object.keys(state.subjects ?? {}).map((subject) => subject.slice(filter.length - 1))
}
