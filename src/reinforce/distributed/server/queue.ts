/** The queue of a job: shards go in once, and each is taken by one worker at a time. */
import { type Consumer, JetStreamApiError, type JsMsg } from "@nats-io/jetstream"
import type { ShardTask } from "../../runner.ts"
import { answered, consumerName, indicesOf, type QueuedJob, streamOf, subjectOf } from "./queued-job.ts"

/** JetStream's code for a subject that has its one message already. */
const subjectIsFull = 10077

/** Queues a shard; false where it is in the queue already, waiting or at work. */
export async function publishTask(
  job: QueuedJob,
  { index, input, output }: ShardTask,
  signal?: AbortSignal,
): Promise<boolean> {
  try {
    const message = JSON.stringify({ index, input, output })
    await answered(job, () => job.js.publish(subjectOf(job.name, index), message), signal)
    return true
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === subjectIsFull) return false
    throw error
  }
}

/** Indices in the queue: waiting, or at work. */
export async function queuedIndices(job: QueuedJob): Promise<Set<number>> {
  return indicesOf(job, streamOf(job.name), subjectOf(job.name, "*"))
}

/** The consumer that all workers share. */
export async function jobConsumer(job: QueuedJob): Promise<Consumer> {
  return job.js.consumers.get(streamOf(job.name), consumerName)
}

interface QueueState {
  /** Shards that wait for a worker. */
  readonly queued: number
  /** Shards at work, and those that failed and wait for their next try. */
  readonly inFlight: number
}

/**
 * What the queue will deliver. The messages in the stream may be more: a server that crashes can forget that it removed
 * a message and still know that it was acknowledged (seen with 2.9.10), and such a message is never delivered again.
 */
export async function queueState(job: QueuedJob): Promise<QueueState> {
  const { num_pending, num_ack_pending } = await job.jsm.consumers.info(streamOf(job.name), consumerName)
  return { queued: num_pending, inFlight: num_ack_pending }
}

/** Removes the messages that are never delivered; false where the queue still has others. */
export async function purgeUndeliverable(job: QueuedJob): Promise<boolean> {
  const { state } = await job.jsm.streams.info(streamOf(job.name))
  const { queued, inFlight } = await queueState(job)
  if (queued + inFlight > 0) return false
  if (state.messages > 0) await job.jsm.streams.purge(streamOf(job.name), { seq: state.last_seq + 1 })
  return true
}

/** After the time that the server was given for its answer. */
const lateSeconds = 5

/** The next shard's message; null where none came in time, or none is wanted any more. */
export async function takeMessage(consumer: Consumer, seconds: number, signal: AbortSignal): Promise<JsMsg | null> {
  if (signal.aborted) return null
  const messages = await consumer.fetch({ max_messages: 1, expires: seconds * 1000, bind: true })
  const stop = () => void messages.close()
  signal.addEventListener("abort", stop, { once: true })
  // A request that a restart of the server swallowed is not always given up by the library.
  const deadline = setTimeout(stop, (seconds + lateSeconds) * 1000)
  try {
    for await (const message of messages) return message
    return null
  } finally {
    signal.removeEventListener("abort", stop)
    clearTimeout(deadline)
  }
}
