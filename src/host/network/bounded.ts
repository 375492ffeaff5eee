/** Answers of servers that may lie: at most so many bytes, counted after decompression. */
import { UserError } from "../../core/errors.ts"
import { failuresOf, Watchdog } from "./network.ts"

interface Bound {
  /** Who answers, for the message. */
  readonly what: string
  readonly mostBytes: number
  readonly heard?: (bytes: number) => void
}

/** A whole body. Throws UserError where it is longer than allowed. */
export async function readBounded(
  body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { what, mostBytes, heard }: Bound,
): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of body) {
    heard?.(part.length)
    length += part.length
    if (length > mostBytes) {
      throw new UserError(`${what} answers with more than ${mostBytes} bytes`, "check the address, and who runs it")
    }
    parts.push(part)
  }
  return Buffer.concat(parts, length)
}

interface ListingLimits {
  /** Which server lists, for messages. */
  readonly what: string
  /** The server whose pages are read: none of another origin. */
  readonly endpoint: string
  /** How long the server may be silent, and the time over which its rate is measured. */
  readonly timeoutSeconds: number
}

/** A listing of a million files has a thousand pages. */
const mostPages = 1200
const mostBytesOfPage = 2 ** 25
const mostBytesOfAll = 2 ** 29
const mostSeconds = 600

/** A `fetch` for one listing of several pages of JSON. Throws UserError where it has too many, or they are too long. */
export function listingFetch(
  fetch: typeof globalThis.fetch,
  { what, endpoint, timeoutSeconds }: ListingLimits,
): typeof globalThis.fetch {
  const ends = performance.now() + mostSeconds * 1000
  const asked = new Set<string>()
  let bytes = 0
  const endless = (how: string) =>
    new UserError(`${what}: the list of files ${how}`, "check the address, and who runs it")
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input)
    if (url.origin !== new URL(endpoint).origin) throw endless(`goes on at ${url.origin}, which is another server`)
    if (asked.has(url.href)) throw endless("goes on with a page that it had")
    if (asked.add(url.href).size > mostPages) throw endless(`has more than ${mostPages} pages`)
    if (performance.now() > ends) throw endless(`takes more than ${mostSeconds} seconds`)
    using watchdog = new Watchdog(timeoutSeconds)
    const response = await fetch(url, { ...init, signal: watchdog.signal })
    const heard = (count: number) => {
      watchdog.heard(count)
      bytes += count
      if (bytes > mostBytesOfAll) throw endless(`has more than ${mostBytesOfAll} bytes`)
      if (performance.now() > ends) throw endless(`takes more than ${mostSeconds} seconds`)
    }
    const bound = { what, mostBytes: mostBytesOfPage, heard }
    const body = await failuresOf(watchdog.orAbort(readBounded(response.body ?? [], bound)))
    return new Response(body, { status: response.status, headers: plainHeaders(response.headers) })
  }
}

/** The headers of a body that was decompressed. */
function plainHeaders(headers: Headers): Headers {
  const plain = new Headers(headers)
  for (const name of ["Content-Encoding", "Content-Length", "Transfer-Encoding"]) plain.delete(name)
  return plain
}
