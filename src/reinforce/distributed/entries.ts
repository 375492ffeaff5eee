/** Writing entries of a bucket, once and by one. */
import { JetStreamApiCodes, JetStreamApiError } from "@nats-io/jetstream"
import type { KV } from "@nats-io/kv"
import { untilAnswered } from "./connection.ts"

/** False where there is an entry already; waits for the server. */
export async function createEntry(bucket: KV, key: string, value: object, signal?: AbortSignal): Promise<boolean> {
  try {
    await untilAnswered(() => bucket.create(key, JSON.stringify(value)), signal)
    return true
  } catch (error) {
    if (isConflict(error)) return false
    throw error
  }
}

/** Replaces the entry of this revision; false where there is another one by now. */
export async function updateEntry(bucket: KV, key: string, value: object, revision: number): Promise<boolean> {
  try {
    await untilAnswered(() => bucket.update(key, JSON.stringify(value), revision))
    return true
  } catch (error) {
    if (isConflict(error)) return false
    throw error
  }
}

/** Deletes the entry of this revision; false where there is another one by now. */
export async function deleteEntry(bucket: KV, key: string, revision: number): Promise<boolean> {
  try {
    await untilAnswered(() => bucket.delete(key, { previousSeq: revision }))
    return true
  } catch (error) {
    if (isConflict(error)) return false
    throw error
  }
}

function isConflict(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamWrongLastSequence
}
