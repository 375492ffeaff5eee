/** Shards that failed too often, and the way back for them. */
import { untilAnswered } from "./connection.ts"
import { deleteEntry } from "./entries.ts"
import { bucketStream, indicesOf, isPresent, type Job, keySubject } from "./job.ts"
import { publishTask } from "./queue.ts"
import { type ParkedShard, parseRecord, schemas } from "./records.ts"

interface ParkedEntry {
  readonly shard: ParkedShard
  readonly revision: number
}

export function parkedKey(index: number): string {
  return `parked.${index}`
}

export function attemptsKey(index: number): string {
  return `attempts.${index}`
}

/** In the order of their indices. */
export async function parkedShards(job: Job): Promise<ParkedShard[]> {
  return (await parkedEntries(job)).map(({ shard }) => shard)
}

/**
 * Puts parked shards back into the queue, as if they had never been tried; returns how many. One that a worker is
 * parking at this moment stays parked.
 */
export async function retryParked(job: Job): Promise<number> {
  let retried = 0
  for (const { shard, revision } of await untilAnswered(() => parkedEntries(job))) {
    await untilAnswered(() => job.control.delete(attemptsKey(shard.task.index)))
    const queued = await publishTask(job, shard.task)
    if (queued && (await deleteEntry(job.control, parkedKey(shard.task.index), revision))) retried++
  }
  return retried
}

/** Those that were parked at some time; some may be back in the queue. */
export async function parkedIndices(job: Job): Promise<Set<number>> {
  return indicesOf(job, bucketStream(job.name, "control"), keySubject(job.name, "control", "parked.*"))
}

async function parkedEntries(job: Job): Promise<ParkedEntry[]> {
  const indices = [...(await parkedIndices(job))].sort((a, b) => a - b)
  const entries = await Promise.all(indices.map((index) => job.control.get(parkedKey(index))))
  return entries.filter(isPresent).map((entry) => ({
    shard: parseRecord(schemas.parked, entry, `"${entry.key}" of job ${job.name}`),
    revision: entry.revision,
  }))
}
