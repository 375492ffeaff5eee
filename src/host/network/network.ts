/**
 * What every client of a network needs: failures that may not happen again, a limit for silence, and attempts after growing
 * delays.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { type EnvironmentError, isAbort, messageOf, oneLine } from "../../core/errors.ts"

/** A failure that may not happen again: a broken connection, an overloaded server. */
export class NetworkFailure extends Error {
  override readonly name = "NetworkFailure"

  constructor(
    message: string,
    /** How long the server asks to wait; null if it does not say. */
    readonly retryAfterSeconds: number | null = null,
    /** Further attempts that may help: fewer where the failure is likely to last. */
    readonly mostRetries = Number.POSITIVE_INFINITY,
    /** Whether nothing was heard of the server: this machine may have no network. */
    readonly isUnheard = false,
  ) {
    super(message)
  }
}

export interface Retries {
  /** Seconds before each further attempt. */
  readonly delays: readonly number[]
  readonly signal?: AbortSignal | undefined
  /** The most further attempts while nothing is heard of the server; default: one for each delay. */
  readonly unheardRetries?: number
  /** Is told before each further attempt why it is made, which one it is and when. */
  readonly onRetry?: ((text: string) => void) | undefined
}

interface LastError {
  /** Makes the error to throw from the last failure and the number of attempts. */
  readonly giveUp: (last: NetworkFailure, attempts: number) => EnvironmentError
}

/** Bytes a second that a server has to send on average, over the time for which it may be silent. */
const leastRate = 1000

/** Fewer bytes are not progress: a server must not be asked without end for one byte at a time. */
const leastProgress = 1000

/** The longest wait that a server may ask for. */
const longestWaitSeconds = 60

/** The server sends too slowly. What came through does not count as progress, so the count of attempts does not start again. */
class TooSlow extends NetworkFailure {}

/** Aborts its signal when nothing was heard for some time, or less than `leastRate` over such a time. */
export class Watchdog implements Disposable {
  private readonly controller = new AbortController()
  private timer: NodeJS.Timeout | undefined
  /** When the first of `bytes` came; null before that. */
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

  /** The promise's value; throws the reason where the signal is aborted, which not every client does. */
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
  { delays, unheardRetries = delays.length, signal, onRetry, giveUp }: Retries & LastError,
  progress: () => number = () => 0,
): Promise<T> {
  for (let failures = 0, before = progress(); ; failures++) {
    try {
      return await failuresOf(attempt())
    } catch (error) {
      if (!(error instanceof NetworkFailure)) throw error
      const isProgress = progress() - before >= leastProgress && !(error instanceof TooSlow)
      if (isProgress) [failures, before] = [0, progress()]
      const most = Math.min(delays.length, error.mostRetries, error.isUnheard ? unheardRetries : delays.length)
      const delay = failures < most ? delays[failures] : undefined
      if (delay === undefined) throw giveUp(error, failures + 1)
      const seconds = Math.min(Math.max(delay, error.retryAfterSeconds ?? 0), longestWaitSeconds)
      onRetry?.(
        `${error.message}; trying again in ${Number(seconds.toPrecision(2))} s (attempt ${failures + 2} of ${most + 1})`,
      )
      await sleep(seconds * 1000, undefined, signal ? { signal } : {})
    }
  }
}

/** Node's errors of a connection, before and after the headers, as NetworkFailures; others as they are. */
export async function failuresOf<T>(promise: Promise<T>, prefix = ""): Promise<T> {
  try {
    return await promise
  } catch (error) {
    if (!isConnectionError(error)) throw error
    throw failureOf(error.cause, prefix)
  }
}

/** @param prefix names the server, where the reason does not */
export function failureOf(cause: unknown, prefix = ""): NetworkFailure {
  const { reason, namesHost, mostRetries, isUnheard } = connectionError(cause)
  return new NetworkFailure(namesHost ? reason : prefix + reason, null, mostRetries, isUnheard)
}

/** How often something was tried, for the end of a message. */
export function triedText(attempts: number): string {
  return attempts === 1 ? "" : ` (tried ${attempts} times)`
}

/** Whether the network, or the end of a wait for it, is the reason, and not what the answer says. */
export function isNetworkError(error: unknown): boolean {
  return error instanceof NetworkFailure || isAbort(error) || isConnectionError(error)
}

function isConnectionError(error: unknown): error is TypeError {
  return error instanceof TypeError && ["fetch failed", "terminated"].includes(error.message)
}

/** An error of a connection: what it means in words, and whether another attempt may help. */
interface ConnectionError {
  readonly reason: string
  /** Whether the reason names the host. */
  readonly namesHost: boolean
  /** Further attempts that may help. */
  readonly mostRetries: number
  /** Whether no name server, or no way to the server, was found, or it took no connection. */
  readonly isUnheard: boolean
}

/** @param cause what Node says: several addresses of one host fail together, with an empty message of their own */
function connectionError(cause: unknown): ConnectionError {
  const first = cause instanceof AggregateError ? cause.errors[0] : cause
  const { code = "", hostname } = (first ?? {}) as { code?: string; hostname?: string }
  const reason = oneLine(messageOf(first ?? "the connection broke"), 200) || code
  const isUnheard = [
    "ENOTFOUND",
    "EAI_AGAIN",
    "ENETUNREACH",
    "EHOSTUNREACH",
    "ETIMEDOUT",
    "UND_ERR_CONNECT_TIMEOUT",
  ].includes(code)
  const plain = { reason, namesHost: false, mostRetries: Number.POSITIVE_INFINITY, isUnheard }
  if (code === "ENOTFOUND" && hostname)
    return { ...plain, reason: `${hostname} was not found`, namesHost: true, mostRetries: 1 }
  if (code === "EAI_AGAIN" && hostname)
    return { ...plain, reason: `no name server answers for ${hostname}`, namesHost: true }
  if (code === "ERR_SSL_WRONG_VERSION_NUMBER")
    return { ...plain, reason: "the server does not speak https", mostRetries: 0 }
  return { ...plain, ...(isLasting(code, reason) && { mostRetries: 0 }) }
}

/** An address that `fetch` does not ask, or a certificate that is not valid, expired or of another host. */
function isLasting(code: string, reason: string): boolean {
  const isRefused = ["bad port", "unknown scheme"].includes(reason) || code === "ERR_INVALID_URL"
  return isRefused || /CERT|UNABLE_TO_VERIFY_LEAF_SIGNATURE/.test(code)
}
