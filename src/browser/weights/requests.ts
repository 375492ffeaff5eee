/** HTTP from a page: answers in words, and what may be tried again told from what may not. */
import { EnvironmentError, messageOf, UserError } from "../../core/errors.ts"
import type { WebHost } from "./web-host.ts"

/** Another attempt may help. */
export class Interrupted extends Error {
  constructor(
    message: string,
    /** Whether anything came from the server. */
    readonly wasHeard: boolean,
  ) {
    super(message)
  }
}

/** The answer, and every further piece of it, must come within this time. */
const patience = 30_000

export interface Asking {
  readonly host: WebHost
  readonly signal: AbortSignal | undefined
}

/**
 * What `url` answers, where that is a file.
 *
 * @throws Interrupted where the network or the server fails, UserError for an answer that is not a file
 */
export async function ask({ host, signal }: Asking, url: string, init: RequestInit = {}): Promise<Response> {
  const response = await answerOf({ host, signal }, url, init)
  if (response.ok && !isPage(response)) return response
  await response.body?.cancel()
  if (response.status === 416) throw new Interrupted("the server's file is shorter than expected", true)
  if (response.status === 429 || response.status >= 500) throw new Interrupted(`answered ${response.status}`, true)
  throw refusal(url, response)
}

/** The same, null where there is no such file: a server that answers everything with its page included. */
export async function askIfThere(asking: Asking, url: string, init: RequestInit = {}): Promise<Response | null> {
  const response = await withRetries(asking, url, () => answerOf(asking, url, init))
  if (response.ok && !isPage(response)) return response
  await response.body?.cancel()
  if (response.ok || response.status === 404 || response.status === 403 || response.status === 410) return null
  throw refusal(url, response)
}

async function answerOf({ host, signal }: Asking, url: string, init: RequestInit): Promise<Response> {
  const late = new AbortController()
  // Not AbortSignal.timeout, which would end the body of a long download as well.
  const timer = setTimeout(() => late.abort(), patience)
  try {
    return await host.fetch(url, { ...init, signal: AbortSignal.any(signal ? [signal, late.signal] : [late.signal]) })
  } catch (error) {
    signal?.throwIfAborted()
    throw new Interrupted(late.signal.aborted ? "no answer in 30 s" : messageOf(error), false)
  } finally {
    clearTimeout(timer)
  }
}

/** The pieces of a body. Throws Interrupted where the connection ends early, or nothing comes for 30 seconds. */
export async function* piecesOf({ signal }: Asking, response: Response): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const reader = response.body?.getReader()
  try {
    while (reader) {
      const { done, value } = await withPatience(reader.read())
      if (done) return
      yield value
    }
  } catch (error) {
    signal?.throwIfAborted()
    throw error instanceof Interrupted ? error : new Interrupted(`the connection ended (${messageOf(error)})`, true)
  } finally {
    await reader?.cancel().catch(() => {})
  }
}

async function withPatience<T>(work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Interrupted("nothing came for 30 s", true)), patience)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Further attempts, in milliseconds after the one before. */
const delays = [500, 1000, 2000, 4000]
/** While nothing is heard of the server: it does not allow this page, or there is no network. */
const unheardRetries = 1

/**
 * Tries again what was interrupted. Attempts count from the last that brought something.
 *
 * @param progress grows with what came
 * @throws EnvironmentError after the last attempt
 */
export async function withRetries<T>(
  { host, signal }: Asking,
  url: string,
  attempt: () => Promise<T>,
  progress = () => 0,
): Promise<T> {
  for (let [failures, before] = [1, progress()]; ; failures++) {
    try {
      return await attempt()
    } catch (error) {
      signal?.throwIfAborted()
      if (!(error instanceof Interrupted)) throw error
      if (progress() > before) [failures, before] = [1, progress()]
      const most = error.wasHeard ? delays.length : unheardRetries
      if (failures > most || !host.isOnline()) throw unreachable(url, error, host)
      await host.wait(delays[failures - 1]!)
      signal?.throwIfAborted()
    }
  }
}

function unreachable(url: string, { message, wasHeard }: Interrupted, host: WebHost): EnvironmentError {
  const goesOn = "what came is kept where this browser keeps files, and the next load goes on"
  if (!host.isOnline()) return new EnvironmentError(`${url}: this browser is offline`, goesOn)
  return new EnvironmentError(
    `${url}: ${message}`,
    wasHeard ? goesOn : "check the network, whether that server allows this page (CORS), and the page's connect-src",
  )
}

function isPage({ headers }: Response): boolean {
  return /^(text\/html|application\/xhtml)/i.test(headers.get("Content-Type") ?? "")
}

function refusal(url: string, response: Response): UserError {
  const came = isPage(response) ? `a page (${response.headers.get("Content-Type")})` : "no file"
  return new UserError(
    `${url} answered ${response.status} with ${came}, and not with a file of a model`,
    "check the address, and that the server gives out this file",
  )
}
