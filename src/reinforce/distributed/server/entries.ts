/** Writing entries of a bucket, once and by one. */
import { JetStreamApiCodes, JetStreamApiError } from "@nats-io/jetstream"
import { answered, type QueuedJob } from "./queued-job.ts"

type Bucket = "control" | "done"

/** False where there is an entry already; waits for the server. */
export async function createEntry(
  job: QueuedJob,
  bucket: Bucket,
  key: string,
  value: object,
  signal?: AbortSignal,
): Promise<boolean> {
  try {
    await answered(job, () => job[bucket].create(key, JSON.stringify(value)), signal)
    return true
  } catch (error) {
    if (isConflict(error)) return false
    throw error
  }
}

/** Replaces the entry of this revision; false where there is another one by now. */
export async function updateEntry(
  job: QueuedJob,
  bucket: Bucket,
  key: string,
  value: object,
  revision: number,
  signal?: AbortSignal,
): Promise<boolean> {
  try {
    await answered(job, () => job[bucket].update(key, JSON.stringify(value), revision), signal)
    return true
  } catch (error) {
    if (isConflict(error)) return false
    throw error
  }
}

/** Deletes the entry of this revision; false where there is another one by now. */
export async function deleteEntry(job: QueuedJob, bucket: Bucket, key: string, revision: number): Promise<boolean> {
  try {
    await answered(job, () => job[bucket].delete(key, { previousSeq: revision }))
    return true
  } catch (error) {
    if (isConflict(error)) return false
    throw error
  }
}

function isConflict(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamWrongLastSequence
}
