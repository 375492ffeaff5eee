/**
 * HTTP to a hub: the token only to the hub itself, time limits, answers in words, and retries.
 *
 * Proxies and certificates are Node's own affair (NODE_USE_ENV_PROXY, NODE_EXTRA_CA_CERTS). A redirect to another
 * origin (the CDN) loses the `Authorization` header, as the fetch standard asks.
 */
import { setTimeout as sleep } from "node:timers/promises"
import { messageOf, UserError } from "../core/errors.ts"
import type { HubSettings } from "./settings.ts"
import { nearestNames } from "./source.ts"

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

/** The last of several network failures; what the cache holds may do instead. */
export class HubUnreachable extends UserError {}

export interface Retries {
  /** Seconds before each further attempt. */
  readonly delays: readonly number[]
  readonly signal?: AbortSignal | undefined
  /** Told before each further attempt why there is one. */
  readonly onRetry?: ((text: string) => void) | undefined
}

/** Half a minute in all, not counting the attempts. */
export const defaultRetryDelays: readonly number[] = [1, 2, 4, 8, 16]

/** No server keeps us longer than that. */
const longestWaitSeconds = 60

/**
 * `fetch` for one repository of the hub; adds the token to requests to the hub's origin.
 *
 * @throws NetworkFailure where another attempt may help, UserError where it does not
 */
export function hubFetch(settings: HubSettings, repo: string, signal?: AbortSignal): typeof fetch {
  const { endpoint, token, timeoutSeconds } = settings
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input)
    const headers = new Headers(init?.headers)
    if (token && url.origin === new URL(endpoint).origin) headers.set("Authorization", `Bearer ${token}`)
    using watchdog = new Watchdog(timeoutSeconds)
    const signals = [watchdog.signal, signal, init?.signal].filter((one) => one != null)
    const response = await failuresOf(
      fetch(url, { ...init, headers, signal: AbortSignal.any(signals) }),
      `${url.host}: `,
    )
    if (response.ok || response.status === 416) return response
    await response.body?.cancel()
    throw statusError(response, settings, repo)
  }
}

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
  what: string,
  attempt: () => Promise<T>,
  { delays, signal, onRetry }: Retries,
  progress: () => number = () => 0,
): Promise<T> {
  for (let failures = 0, before = progress(); ; failures++) {
    try {
      return await failuresOf(attempt())
    } catch (error) {
      if (!(error instanceof NetworkFailure)) throw error
      if (progress() > before) [failures, before] = [0, progress()]
      const delay = delays[failures]
      if (delay === undefined) throw unreachable(what, error, delays.length)
      const seconds = Math.min(Math.max(delay, error.retryAfterSeconds ?? 0), longestWaitSeconds)
      onRetry?.(`${error.message}; trying again in ${seconds} s`)
      await sleep(seconds * 1000, undefined, signal ? { signal } : {})
    }
  }
}

/** Node's errors of a connection, before and behind the headers, as NetworkFailures; others as they are. */
async function failuresOf<T>(promise: Promise<T>, prefix = ""): Promise<T> {
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

function unreachable(what: string, { message }: Error, retries: number): HubUnreachable {
  return new HubUnreachable(
    `${what}: ${message} (tried ${retries + 1} times)`,
    "check the network (HF_ENDPOINT names another hub) and run again: what was downloaded is kept and continued",
  )
}

function statusError(response: Response, { endpoint, token, tokenSource }: HubSettings, repo: string): Error {
  const { status } = response
  const host = new URL(response.url || endpoint).host
  const reason = response.headers.get("X-Error-Code")
  const setToken = `set HF_TOKEN to a token from ${endpoint}/settings/tokens`
  // A CDN refuses an address that has expired; the hub gives a new one.
  const isCdn = new URL(response.url || endpoint).origin !== new URL(endpoint).origin
  if (isCdn || status === 429 || status >= 500) {
    const wait = Number.parseFloat(response.headers.get("Retry-After") ?? "")
    return new NetworkFailure(`${host} answered ${status}`, Number.isFinite(wait) ? wait : null)
  }
  if (reason === "GatedRepo" || status === 403) {
    const who = token ? `the token from ${tokenSource} has no access to` : "only users who accepted its terms get"
    return new UserError(`${who} ${repo} (${status})`, `accept its terms at ${endpoint}/${repo}, then ${setToken}`)
  }
  if (status === 401 && token) {
    return new UserError(`${host} refused the token from ${tokenSource} (401)`, `${setToken}, or use none`)
  }
  if (reason === "RevisionNotFound") return new UserError(`${repo} has no such revision (404)`, "leave out --revision")
  if (reason === "EntryNotFound") return new UserError(`${repo} has no such file (404)`, "leave out --file")
  if (status === 401 || status === 404) {
    const nearest = nearestNames(repo).filter((name) => name !== repo)
    return new UserError(
      `${host} has no public repository ${repo} (${status})`,
      `nearest names: ${nearest.join(", ")}; if it is private, ${setToken}`,
    )
  }
  return new UserError(`${host} answered ${status} for ${repo}`, "check HF_ENDPOINT")
}
