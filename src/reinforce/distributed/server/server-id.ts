/**
 * What tells one server from another: a random id that it keeps in its storage, in the bucket `mobileclip-server`. Addresses
 * do not tell: 127.0.0.1 is another server on every machine.
 */
import { randomUUID } from "node:crypto"
import { JetStreamApiCodes, JetStreamApiError, jetstream } from "@nats-io/jetstream"
import { Kvm } from "@nats-io/kv"
import type { NatsConnection } from "@nats-io/transport-node"
import { requestTimeout, untilAnswered } from "./connection.ts"
import { isPresent } from "./queued-job.ts"

const [bucketName, key] = ["mobileclip-server", "id"]

/** Waits for the server until the signal comes. A server that lost its storage is another one. */
export function serverId(connection: NatsConnection, signal?: AbortSignal): Promise<string> {
  return untilAnswered(() => readOrCreate(connection), signal)
}

async function readOrCreate(connection: NatsConnection): Promise<string> {
  const bucket = await new Kvm(jetstream(connection, { timeout: requestTimeout })).create(bucketName, { history: 1 })
  const before = await bucket.get(key)
  if (isPresent(before)) return before.string()
  const id = randomUUID()
  try {
    await bucket.create(key, id)
    return id
  } catch (error) {
    const isTaken = error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamWrongLastSequence
    const other = isTaken ? await bucket.get(key) : null
    if (!isPresent(other)) throw error
    return other.string()
  }
}
