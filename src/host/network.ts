/**
 * What every client of a network needs: failures that may go better the next time, a limit for silence, and attempts
 * behind growing delays.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { type EnvironmentError, messageOf } from "../core/errors.ts"

/** Something that may go better the next time: a broken connection, an overloaded server. */
export class NetworkFailure extends Error {
  override readonly name = "NetworkFailure"

  constructor(
    message: string,
    /** How long the server asks to wait; null if it does not say. */
    readonly retryAfterSeconds: number | null = null,
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

/** No server keeps us longer than that. */
const longestWaitSeconds = 60

/** Aborts its signal when nothing was heard for some time. */
export class Watchdog implements Disposable {
  private readonly controller = new AbortController()
  private timer: NodeJS.Timeout | undefined
  readonly signal = this.controller.signal

  constructor(private readonly seconds: number) {
    this.heard()
  }

  heard(): void {
    clearTimeout(this.timer)
    const failure = new NetworkFailure(`no answer within ${this.seconds} s`)
    this.timer = setTimeout(() => this.controller.abort(failure), this.seconds * 1000)
  }

  [Symbol.dispose](): void {
    clearTimeout(this.timer)
  }
}

/** Runs `attempt` again behind a growing delay while it fails for the network's sake and makes no progress. */
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
      if (progress() > before) [failures, before] = [0, progress()]
      const delay = delays[failures]
      if (delay === undefined) throw giveUp(error, delays.length + 1)
      const seconds = Math.min(Math.max(delay, error.retryAfterSeconds ?? 0), longestWaitSeconds)
      onRetry?.(`${error.message}; trying again in ${seconds} s`)
      await sleep(seconds * 1000, undefined, signal ? { signal } : {})
    }
  }
}

/** Node's errors of a connection, before and behind the headers, as NetworkFailures; others as they are. */
export async function failuresOf<T>(promise: Promise<T>, prefix = ""): Promise<T> {
  try {
    return await promise
  } catch (error) {
    if (!(error instanceof TypeError) || !["fetch failed", "terminated"].includes(error.message)) throw error
    throw new NetworkFailure(prefix + reasonOf(error.cause))
  }
}

/** Several addresses of one host fail together, with an empty message of their own. */
function reasonOf(cause: unknown): string {
  const first = cause instanceof AggregateError ? cause.errors[0] : cause
  return messageOf(first ?? "the connection broke")
}
