/** Where a job stands. */
import { Completions } from "./server/completions.ts"
import { parkedShards } from "./server/parking.ts"
import { queueState } from "./server/queue.ts"
import {
  answered,
  bucketStream,
  entryName,
  isPresent,
  keySubject,
  type QueuedJob,
  readControl,
} from "./server/queued-job.ts"
import { type Note, type ParkedShard, readRecord, schemas, type WorkerRecord } from "./server/records.ts"

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
  /** The rate of all workers together, over their last minute. */
  readonly samplesPerSecond: number
  /** Null while nobody can tell. */
  readonly secondsLeft: number | null
  /** Why the job was stopped, if it was. */
  readonly stopped: string | null
  /** Identity of the models that workers must have; null before the first shard is done. */
  readonly models: string | null
  /** Entries on the server that are not what they should be, each in a line. They count as not there. */
  readonly unreadable: readonly string[]
}

/** Reads every completion: a second or two for 65,536 shards. Throws UserError where the job was removed. */
export async function jobStatus(job: QueuedJob): Promise<JobStatus> {
  return answered(job, () => snapshot(job))
}

async function snapshot(job: QueuedJob): Promise<JobStatus> {
  const unreadable: string[] = []
  const note: Note = (text) => unreadable.push(text)
  const record = await readControl(job, "job", schemas.job, note)
  const shards = record?.shards ?? 0
  const { queued, inFlight } = await queueState(job)
  const completions = new Completions(job, ({ index }) => index < shards)
  await completions.update()
  const done = completions.all
  const parked = (await parkedShards(job, note)).filter(({ index }) => index < shards && !done.has(index))
  const workers = await liveWorkers(job, note)
  const samplesPerSecond = totalRate(workers)
  const { samples } = completions.totals
  return {
    job: job.name,
    shards,
    queued,
    inFlight,
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
    stopped: (await readControl(job, "stop", schemas.stop, note))?.reason ?? null,
    models: (await readControl(job, "models", schemas.models, note))?.identity ?? null,
    unreadable: [...unreadable, ...completions.unreadable.values()],
  }
}

/** In the order of their names. */
export async function liveWorkers(job: QueuedJob, note: Note): Promise<WorkerRecord[]> {
  const keys = await workerKeys(job)
  for (const key of keys)
    if (!keyForm.test(key)) note(`${entryName(job, `workers.${key}`)} on the server is not a worker's`)
  const entries = await Promise.all(keys.filter((key) => keyForm.test(key)).map((key) => job.workers.get(key)))
  const records = entries.filter(isPresent).flatMap((entry) => {
    return readRecord(schemas.worker, entry, entryName(job, `workers.${entry.key}`), note) ?? []
  })
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

/** What workers call themselves. */
const keyForm = /^[\w-]+$/

async function workerKeys(job: QueuedJob): Promise<string[]> {
  const filter = keySubject(job.name, "workers", "*")
  const { state } = await job.jsm.streams.info(bucketStream(job.name, "workers"), { subjects_filter: filter })
  return Object.keys(state.subjects ?? {}).map((subject) => subject.slice(filter.length - 1))
}
