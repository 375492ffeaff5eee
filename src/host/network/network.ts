/**
 * What every client of a network needs: failures that may go better the next time, a limit for silence, and attempts
 * after growing delays.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { type EnvironmentError, isAbort } from "../../core/errors.ts"
import { connectionError } from "./connection-error.ts"

/** Something that may go better the next time: a broken connection, an overloaded server. */
export class NetworkFailure extends Error {
  override readonly name = "NetworkFailure"

  constructor(
    message: string,
    /** How long the server asks to wait; null if it does not say. */
    readonly retryAfterSeconds: number | null = null,
    /** Further attempts that may help: fewer where it is likely to stay so. */
    readonly mostRetries = Number.POSITIVE_INFINITY,
  ) {
    super(message)
  }
}

export interface Retries {
  /** Seconds before each further attempt. */
  readonly delays: readonly number[]
  readonly signal?: AbortSignal | undefined
  /** Told before each further attempt why there is one. */
  readonly onRetry?: ((text: string) => void) | undefined
}

interface GivesUp {
  /** The error for the last failure, after so many attempts. */
  readonly giveUp: (last: NetworkFailure, attempts: number) => EnvironmentError
}

/** Bytes a second that a server has to send on average, over the time for which it may be silent. */
const leastRate = 1000

/** Less than so many bytes are not progress: a server must not be asked without end for one byte at a time. */
const leastProgress = 1000

/** No server keeps us longer than that. */
const longestWaitSeconds = 60

/** A connection that drips: another attempt does not begin to count anew, whatever came through. */
class TooSlow extends NetworkFailure {}

/** Aborts its signal when nothing was heard for some time, or less than `leastRate` over such a time. */
export class Watchdog implements Disposable {
  private readonly controller = new AbortController()
  private timer: NodeJS.Timeout | undefined
  /** Since when `bytes` came; null before the first. */
  private since: number | null = null
  private bytes = 0
  readonly signal = this.controller.signal

  constructor(private readonly seconds: number) {
    this.wait()
  }

  /** @param bytes that came, of those that make a rate */
  heard(bytes = 0): void {
    if (this.signal.aborted) return
    this.wait()
    if (bytes > 0) this.measure(bytes)
  }

  /** What the promise gives; where the signal is aborted its reason, which not every client throws. */
  async orAbort<T>(promise: Promise<T>): Promise<T> {
    try {
      return await promise
    } catch (error) {
      this.signal.throwIfAborted()
      throw error
    }
  }

  private wait(): void {
    clearTimeout(this.timer)
    const failure = new NetworkFailure(`no answer within ${this.seconds} s`)
    this.timer = setTimeout(() => this.controller.abort(failure), this.seconds * 1000)
  }

  private measure(bytes: number): void {
    const now = performance.now()
    this.since ??= now
    this.bytes += bytes
    if (now - this.since < this.seconds * 1000) return
    if (this.bytes < leastRate * this.seconds) {
      this.controller.abort(new TooSlow(`only ${this.bytes} bytes came within ${this.seconds} s`))
    }
    ;[this.since, this.bytes] = [now, 0]
  }

  [Symbol.dispose](): void {
    clearTimeout(this.timer)
  }
}

/** Runs `attempt` again after a growing delay while it fails for the network's sake and makes no progress. */
export async function withRetries<T>(
  attempt: () => Promise<T>,
  { delays, signal, onRetry, giveUp }: Retries & GivesUp,
  progress: () => number = () => 0,
): Promise<T> {
  for (let failures = 0, before = progress(); ; failures++) {
    try {
      return await failuresOf(attempt())
    } catch (error) {
      if (!(error instanceof NetworkFailure)) throw error
      const isProgress = progress() - before >= leastProgress && !(error instanceof TooSlow)
      if (isProgress) [failures, before] = [0, progress()]
      const delay = failures < error.mostRetries ? delays[failures] : undefined
      if (delay === undefined) throw giveUp(error, failures + 1)
      const seconds = Math.min(Math.max(delay, error.retryAfterSeconds ?? 0), longestWaitSeconds)
      onRetry?.(`${error.message}; trying again in ${seconds} s`)
      await sleep(seconds * 1000, undefined, signal ? { signal } : {})
    }
  }
}

/** Node's errors of a connection, before and after the headers, as NetworkFailures; others as they are. */
export async function failuresOf<T>(promise: Promise<T>, prefix = ""): Promise<T> {
  try {
    return await promise
  } catch (error) {
    if (!isConnections(error)) throw error
    throw failureOf(error.cause, prefix)
  }
}

/** @param prefix says who was asked, where the reason does not */
export function failureOf(cause: unknown, prefix = ""): NetworkFailure {
  const { reason, namesHost, mostRetries } = connectionError(cause)
  return new NetworkFailure(namesHost ? reason : prefix + reason, null, mostRetries)
}

/** How often something was tried, for the end of a message. */
export function triedText(attempts: number): string {
  return attempts === 1 ? "" : ` (tried ${attempts} times)`
}

/** Whether the network, or who ended the wait for it, is the reason, and not what the answer says. */
export function isNetworks(error: unknown): boolean {
  return error instanceof NetworkFailure || isAbort(error) || isConnections(error)
}

function isConnections(error: unknown): error is TypeError {
  return error instanceof TypeError && ["fetch failed", "terminated"].includes(error.message)
}
