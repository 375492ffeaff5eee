/** The queue of a job: shards go in once, and each is taken by one worker at a time. */
import { type Consumer, JetStreamApiError, type JsMsg } from "@nats-io/jetstream"
import type { ShardTask } from "../runner.ts"
import { untilAnswered } from "./connection.ts"
import { consumerName, indicesOf, type Job, streamOf, subjectOf } from "./job.ts"

/** JetStream's code for a subject that has its one message already. */
const subjectIsFull = 10077

/** Queues a shard; false where it is in the queue already, waiting or at work. */
export async function publishTask(job: Job, { index, input, output }: ShardTask): Promise<boolean> {
  try {
    await untilAnswered(() => job.js.publish(subjectOf(job.name, index), JSON.stringify({ index, input, output })))
    return true
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === subjectIsFull) return false
    throw error
  }
}

/** Indices in the queue: waiting, or at work. */
export async function queuedIndices(job: Job): Promise<Set<number>> {
  return indicesOf(job, streamOf(job.name), subjectOf(job.name, "*"))
}

/** The consumer that all workers share. */
export async function jobConsumer(job: Job): Promise<Consumer> {
  return job.js.consumers.get(streamOf(job.name), consumerName)
}

/** The next shard's message; null where none came in time, or none is wanted any more. */
export async function takeMessage(consumer: Consumer, seconds: number, signal: AbortSignal): Promise<JsMsg | null> {
  if (signal.aborted) return null
  const messages = await consumer.fetch({ max_messages: 1, expires: seconds * 1000, bind: true })
  const stop = () => void messages.close()
  signal.addEventListener("abort", stop, { once: true })
  try {
    for await (const message of messages) return message
    return null
  } finally {
    signal.removeEventListener("abort", stop)
  }
}
