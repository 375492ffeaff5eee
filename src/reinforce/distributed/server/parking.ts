/** Shards that failed too often, and the way back for them. */
import { deleteEntry } from "./entries.ts"
import { publishTask, purgeUndeliverable } from "./queue.ts"
import { answered, bucketStream, entryName, indicesOf, isPresent, type Job, keySubject } from "./queued-job.ts"
import { type Note, type ParkedShard, readRecord, schemas } from "./records.ts"

interface ParkedEntry {
  readonly index: number
  /** Null where it cannot be read. */
  readonly shard: ParkedShard | null
  readonly revision: number
}

export function parkedKey(index: number): string {
  return `parked.${index}`
}

export function attemptsKey(index: number): string {
  return `attempts.${index}`
}

/** In the order of their indices. Shards whose entry cannot be read count as not parked. */
export async function parkedShards(job: Job, note: Note): Promise<ParkedShard[]> {
  return (await parkedEntries(job, note)).flatMap(({ shard }) => shard ?? [])
}

export interface Retried {
  /** Shards that are back in the queue. */
  readonly queued: number
  /** Shards that are no longer parked, and whose messages only `publishJob` knows. */
  readonly forgotten: number
}

/**
 * Puts parked shards back into the queue, as if they had never been tried. One that a worker is parking at this moment
 * stays parked.
 */
export async function retryParked(job: Job, note: Note = () => {}): Promise<Retried> {
  // A message that is never delivered would keep its shard from being queued.
  await answered(job, () => purgeUndeliverable(job))
  const retried = { queued: 0, forgotten: 0 }
  for (const { index, shard, revision } of await answered(job, () => parkedEntries(job, note))) {
    await answered(job, () => job.control.delete(attemptsKey(index)))
    const task = shard?.task ?? null
    if (task && !(await publishTask(job, task))) continue
    if (await deleteEntry(job, "control", parkedKey(index), revision)) retried[task ? "queued" : "forgotten"]++
  }
  return retried
}

/** Those that were parked at some time; some may be back in the queue. */
async function parkedIndices(job: Job): Promise<Set<number>> {
  return indicesOf(job, bucketStream(job.name, "control"), keySubject(job.name, "control", "parked.*"))
}

async function parkedEntries(job: Job, note: Note): Promise<ParkedEntry[]> {
  const indices = [...(await parkedIndices(job))].sort((a, b) => a - b)
  const entries = await Promise.all(
    indices.map(async (index) => ({ index, entry: await job.control.get(parkedKey(index)) })),
  )
  return entries.flatMap(({ index, entry }) => {
    if (!isPresent(entry)) return []
    const shard = readRecord(schemas.parked, entry, entryName(job, entry.key), note)
    const isOfShard = shard?.index === index && (shard.task?.index ?? index) === index
    if (shard && !isOfShard) note(`${entryName(job, entry.key)} on the server is of another shard`)
    return { index, shard: isOfShard ? shard : null, revision: entry.revision }
  })
}
