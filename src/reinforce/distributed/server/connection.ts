/**
 * A connection to NATS that outlives its server: it reconnects without end, and `untilAnswered` repeats a request until
 * the server is there again.
 */
import { once, setMaxListeners } from "node:events"
import { setTimeout as sleep } from "node:timers/promises"
import { JetStreamApiError, jetstreamManager } from "@nats-io/jetstream"
import {
  type ConnectionOptions,
  connect,
  credsAuthenticator,
  errors,
  type NatsConnection,
  RequestError,
} from "@nats-io/transport-node"
import { EnvironmentError, messageOf, oneLine, UserError } from "../../../core/errors.ts"
import { readBytes, requireSmall } from "../../../host/files/files.ts"
import type { NatsSettings } from "./nats-settings.ts"

/** The first with pull consumers as they are used here, and with limits per subject that refuse what is new. */
const oldestServer = [2, 9] as const

/** Milliseconds until a request is sent again: one that a server took along as it died has no answer. */
export const requestTimeout = 5_000

/**
 * @param name shown in the server's list of connections
 * @throws UserError where no server answers, it refuses us, is too old or has no JetStream
 */
export async function connectNats(settings: NatsSettings, name: string): Promise<NatsConnection> {
  const connection = await dial(settings, name)
  try {
    await checkServer(connection, settings.servers.join(", "))
    return connection
  } catch (error) {
    await connection.close()
    throw error
  }
}

async function dial(settings: NatsSettings, name: string): Promise<NatsConnection> {
  const options = await connectionOptions(settings, name)
  try {
    return await connect(options)
  } catch (error) {
    const where = settings.servers.join(", ")
    if (error instanceof errors.AuthorizationError) {
      throw new EnvironmentError(
        `the NATS server at ${where} refuses the credentials`,
        "set NATS_CREDS, NATS_TOKEN or NATS_USER",
      )
    }
    throw new EnvironmentError(
      `no NATS server answers at ${where}: ${oneLine(messageOf(error))}`,
      "start one with: nats-server -js -sd FOLDER",
      { cause: error },
    )
  }
}

async function connectionOptions(settings: NatsSettings, name: string): Promise<ConnectionOptions> {
  const { servers, tls, user, password, token, credentials } = settings
  return {
    servers: [...servers],
    name,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 500,
    // A network that swallows packets is noticed within a minute; the library's default is six.
    pingInterval: 20_000,
    maxPingOut: 2,
    timeout: requestTimeout,
    noAsyncTraces: true,
    ...(tls ? { tls: present({ ...tls }) } : {}),
    ...present({ user, pass: password, token }),
    ...(credentials
      ? { authenticator: credsAuthenticator(await readBytes(credentials, requireSmall(credentials, 2 ** 20))) }
      : {}),
  }
}

function present(values: Readonly<Record<string, string | null>>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== null))
}

async function checkServer(connection: NatsConnection, where: string): Promise<void> {
  const version = connection.info?.version ?? "0"
  const [major = 0, minor = 0] = version.split(".").map(Number)
  if (major < oldestServer[0] || (major === oldestServer[0] && minor < oldestServer[1])) {
    throw new UserError(
      `the NATS server at ${where} is version ${version}; ${oldestServer.join(".")} is the oldest that works`,
    )
  }
  try {
    await jetstreamManager(connection, { timeout: requestTimeout })
  } catch (error) {
    if (!isAway(error) && !(error instanceof JetStreamApiError)) throw error
    throw new UserError(
      `the NATS server at ${where} runs without JetStream`,
      "start it with: nats-server -js -sd FOLDER",
      {
        cause: error,
      },
    )
  }
}

/**
 * Repeats `work` while the server is away or starting. Other errors, and those of a closed connection, are thrown; where
 * the signal came, after one try that takes no longer than a request may.
 *
 * @param check before every further try; its errors are thrown
 */
export async function untilAnswered<T>(
  work: () => Promise<T>,
  signal?: AbortSignal,
  check: () => Promise<void> = async () => {},
): Promise<T> {
  for (let wait = 250; ; wait = Math.min(2 * wait, 5000)) {
    try {
      return await orLate(work(), signal)
    } catch (error) {
      if (!isAway(error)) throw error
    }
    await sleep(wait, undefined, signal ? { signal } : {})
    await check()
  }
}

/** Rejects where the work goes on for longer than a request may take after the signal came. */
async function orLate<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!signal) return work
  // Hundreds of requests may wait with one signal.
  setMaxListeners(0, signal)
  const done = new AbortController()
  const late = async () => {
    if (!signal.aborted) await once(signal, "abort", { signal: done.signal })
    await sleep(requestTimeout, undefined, { signal: done.signal })
    throw new DOMException("the server does not answer", "AbortError")
  }
  return Promise.race([work, late()]).finally(() => done.abort())
}

/** JetStream's own codes for "not yet": clustered and without a leader, starting, out of service, its disk full. */
const notReady: readonly number[] = [10008, 10009, 10023, 10039, 10047, 10076]

/** No answer came, or none that says anything about the request. */
export function isAway(error: unknown): boolean {
  if (error instanceof JetStreamApiError) return notReady.includes(error.code)
  if (error instanceof errors.ClosedConnectionError || error instanceof UserError) return false
  if (error instanceof errors.TimeoutError || error instanceof RequestError) return !isClosed(error.cause)
  // JetStream's "not enabled", whose class is not exported: nobody answers, as while the server starts.
  return error instanceof Error && error.cause instanceof RequestError
}

function isClosed(cause: unknown): boolean {
  return cause instanceof errors.ClosedConnectionError
}
