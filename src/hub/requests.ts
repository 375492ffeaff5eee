/**
 * HTTP to a hub: the token only to the hub itself, time limits, answers in words, and retries.
 *
 * Proxies and certificates are Node's own affair (NODE_USE_ENV_PROXY, NODE_EXTRA_CA_CERTS). A redirect to another
 * origin (the CDN) loses the `Authorization` header.
 */
import { EnvironmentError, UserError } from "../core/errors.ts"
import { failuresOf, NetworkFailure, type Retries, triedText, Watchdog, withRetries } from "../host/network/network.ts"
import { fetchFollowing } from "../host/network/redirects.ts"
import type { HubSettings } from "./settings.ts"
import { nearestModels } from "./source.ts"

/** The last of several network failures; the copy in the cache may be used instead. */
export class HubUnreachable extends EnvironmentError {}

/** Half a minute in all, not counting the attempts. Failures that are likely to last are tried less often. */
export const defaultRetryDelays: readonly number[] = [1, 2, 4, 8, 16]

/** Further attempts while nothing is heard of the hub: three seconds, and it is said that there is no network. */
export const unheardRetries = 2

/** A server that has not answered by then is named, so that nobody waits without knowing for what. */
const patienceSeconds = 3

interface HubFetchOptions {
  readonly signal?: AbortSignal | undefined
  /** Is told, in a line, that the server keeps silent. */
  readonly onNote?: ((text: string) => void) | undefined
}

/**
 * `fetch` for one repository of the hub; adds the token to requests to the hub's origin.
 *
 * @throws NetworkFailure where another attempt may help, UserError where it does not
 */
export function hubFetch(settings: HubSettings, repo: string, { signal, onNote }: HubFetchOptions = {}): typeof fetch {
  const { endpoint, token, timeoutSeconds } = settings
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input)
    const silence = `no answer from ${url.host} yet; waiting up to ${timeoutSeconds} s`
    using _ = after(patienceSeconds, () => onNote?.(silence))
    const headers = new Headers(init?.headers)
    if (token && url.origin === new URL(endpoint).origin) headers.set("Authorization", `Bearer ${token}`)
    using watchdog = new Watchdog(timeoutSeconds)
    const signals = [watchdog.signal, signal, init?.signal].filter((one) => one != null)
    const asked = failuresOf(
      fetchFollowing(fetch, url, { ...init, headers, signal: AbortSignal.any(signals) }),
      `${url.host}: `,
    )
    const response = await watchdog.orAbort(asked)
    if (response.ok || response.status === 416) return response
    await response.body?.cancel()
    throw statusError(response, settings, repo)
  }
}

/** Does the work after so many seconds, unless it is disposed of before. */
function after(seconds: number, work: () => void): Disposable {
  const timer = setTimeout(work, 1000 * seconds)
  return { [Symbol.dispose]: () => clearTimeout(timer) }
}

/** `withRetries` that ends in HubUnreachable. @param what is tried, for messages */
export function withHubRetries<T>(
  what: string,
  attempt: () => Promise<T>,
  retries: Retries,
  progress?: () => number,
): Promise<T> {
  const giveUp = (error: NetworkFailure, attempts: number) => unreachable(what, error, attempts)
  const onRetry = (text: string) => retries.onRetry?.(`${what}: ${text}`)
  return withRetries(attempt, { ...retries, onRetry, giveUp }, progress)
}

function unreachable(what: string, { message }: Error, attempts: number): HubUnreachable {
  return new HubUnreachable(
    `${what}: ${message}${triedText(attempts)}`,
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
    return new EnvironmentError(
      `${who} ${repo} (${status})`,
      `accept its terms at ${endpoint}/${repo}, then ${setToken}`,
    )
  }
  if (status === 401 && token) {
    return new EnvironmentError(`${host} refused the token from ${tokenSource} (401)`, `${setToken}, or use none`)
  }
  if (reason === "RevisionNotFound") return new UserError(`${repo} has no such revision (404)`, "leave out --revision")
  if (reason === "EntryNotFound") return new UserError(`${repo} has no such file (404)`, "leave out --file")
  if (status === 401 || status === 404) {
    const nearest = nearestModels(repo).filter((name) => name !== repo)
    // The hub gives the same answer for private repositories.
    const Kind = status === 401 ? EnvironmentError : UserError
    return new Kind(
      `${host} has no public repository ${repo} (${status})`,
      `nearest names: ${nearest.join(", ")}; if it is private, ${setToken}`,
    )
  }
  return new UserError(`${host} answered ${status} for ${repo}`, "check HF_ENDPOINT")
}
