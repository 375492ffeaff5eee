/**
 * Pictures from addresses in requests, for servers that allow them: never from this machine or its network. What a name stands for
 * is looked up once, checked, and that address is connected to, so that a second answer of the name server changes nothing; the
 * same at every redirect.
 */
import { lookup } from "node:dns/promises"
import { once } from "node:events"
import http from "node:http"
import https from "node:https"
import { isIP } from "node:net"
import { networkInterfaces } from "node:os"
import ipaddr from "ipaddr.js"
import type { FetchPicture } from "../http/content.ts"
import { RequestError } from "../http/errors.ts"

export interface FetchLimits {
  /** Bytes that the pictures of a request may have together. */
  readonly bytes: number
  /** Addresses that a request may name; all are asked at the same time. */
  readonly addresses: number
  readonly redirects: number
  readonly seconds: number
}

export const fetchDefaults: FetchLimits = { bytes: 32 * 2 ** 20, addresses: 32, redirects: 3, seconds: 10 }

/** What names stand for, and which addresses are allowed: tests have their own. */
export interface NetworkRules {
  resolve(name: string): Promise<readonly string[]>
  isAllowed(address: string): boolean
}

export const publicNetwork: NetworkRules = {
  resolve: async (name) => (await lookup(name, { all: true })).map(({ address }) => address),
  isAllowed: (address) => isPublic(address),
}

/** Azure's machines get their configuration and certificates there, though it is of a public range. */
const azureWireServer = "168.63.129.16"

/**
 * Whether an address is of the public internet: not this machine, a private network, link-local (where clouds keep secrets) or
 * reserved.
 *
 * @param own this machine's addresses: from it, services answer that others cannot reach
 */
export function isPublic(address: string, own: readonly string[] = ownAddresses()): boolean {
  if (!ipaddr.isValid(address)) return false
  // ::ffff:127.0.0.1 is 127.0.0.1, and ::/96 was once another way to write such an address.
  const parsed = ipaddr.process(address)
  if (parsed.range() !== "unicast" || (parsed.kind() === "ipv6" && parsed.toString().startsWith("::"))) return false
  return ![azureWireServer, ...own].some((each) => ipaddr.process(each).toString() === parsed.toString())
}

/** Without zones, which only link-local ones have. They may change while a server runs. */
function ownAddresses(): string[] {
  const addresses = Object.values(networkInterfaces()).flatMap((each = []) => each.map(({ address }) => address))
  return addresses.map((address) => address.replace(/%.*/, "")).filter((address) => ipaddr.isValid(address))
}

/** The bytes at an address. Throws RequestError that does not tell what is in the server's network; what the signal ends with. */
export function pictureFetcher(
  limits: FetchLimits = fetchDefaults,
  network: NetworkRules = publicNetwork,
): FetchPicture {
  // A request is known by its signal.
  const requests = new WeakMap<AbortSignal, Fetched>()
  return async (url, field, signal) => {
    const fetched = requests.get(signal) ?? { addresses: 0, bytes: 0 }
    requests.set(signal, fetched)
    try {
      if (++fetched.addresses > limits.addresses) throw new Unfetched(`a request may name ${limits.addresses}`)
      return await bytesAt(url, { limits, network, signal, fetched })
    } catch (error) {
      // The whole request is over, not this address.
      signal.throwIfAborted()
      if (!(error instanceof Unfetched)) throw error
      throw new RequestError("invalid", `a picture cannot be fetched from its address: ${error.message}`, field)
    }
  }
}

/** Why there is no picture: the rest of a sentence. */
class Unfetched extends Error {}

/** What one request has taken so far. */
interface Fetched {
  addresses: number
  bytes: number
}

interface Fetching {
  readonly limits: FetchLimits
  readonly network: NetworkRules
  readonly signal: AbortSignal
  readonly fetched: Fetched
}

async function bytesAt(url: string, { limits, network, signal, fetched }: Fetching): Promise<Uint8Array> {
  const stop = AbortSignal.any([signal, AbortSignal.timeout(limits.seconds * 1000)])
  let next = parse(url)
  for (let hop = 0; hop <= limits.redirects; hop++) {
    const answer = await request(next, network, stop)
    if (answer.kind === "redirect") next = parse(answer.location, next)
    else return read(answer.response, limits, fetched, stop)
  }
  throw new Unfetched("it redirects too often")
}

function parse(url: string, base?: URL): URL {
  if (!URL.canParse(url, base)) throw new Unfetched("it is not an address")
  const parsed = new URL(url, base)
  if (parsed.protocol !== "http:" && parsed.protocol !== "https:")
    throw new Unfetched("only http and https are fetched")
  if (parsed.username !== "" || parsed.password !== "") throw new Unfetched("it has a user's name or password")
  return parsed
}

type Answered =
  | { readonly kind: "redirect"; readonly location: string }
  | { readonly kind: "found"; readonly response: http.IncomingMessage }

async function request(url: URL, network: NetworkRules, signal: AbortSignal): Promise<Answered> {
  const response = await connect(url, await allowedAddress(url, network, signal), signal)
  const { statusCode = 0, headers } = response
  const isRedirect = statusCode >= 300 && statusCode < 400 && headers.location !== undefined
  if (statusCode === 200) return { kind: "found", response }
  response.destroy()
  if (isRedirect) return { kind: "redirect", location: headers.location! }
  throw new Unfetched(`its server answers ${statusCode}`)
}

function connect(url: URL, address: string, signal: AbortSignal): Promise<http.IncomingMessage> {
  const { request: open } = url.protocol === "https:" ? https : http
  const family = isIP(address)
  return new Promise<http.IncomingMessage>((resolve, reject) => {
    const asked = open(url, {
      ...{ signal, agent: false, headers: { accept: "image/*", "user-agent": "mobileclip" } },
      // The name was looked up: its server is not asked again.
      lookup: (_name, options, answer) =>
        options.all ? answer(null, [{ address, family }]) : answer(null, address, family),
    })
    asked.once("response", resolve)
    asked.once("error", () => reject(new Unfetched(signal.aborted ? "it takes too long" : "there is no answer")))
    asked.end()
  })
}

/** All that a name stands for must be allowed: which one is taken is up to chance. */
async function allowedAddress({ hostname }: URL, network: NetworkRules, signal: AbortSignal): Promise<string> {
  const name = hostname.replace(/^\[|\]$/g, "")
  const addresses = isIP(name) ? [name] : await inTime(network.resolve(name), signal).catch(() => [])
  if (signal.aborted) throw new Unfetched("it takes too long")
  if (addresses.length === 0) throw new Unfetched("its name is not known")
  if (!addresses.every((address) => network.isAllowed(address))) throw new Unfetched("it is not of the public internet")
  return addresses[0]!
}

/** A name server may never answer, and its question cannot be taken back. */
async function inTime<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const ended = new AbortController()
  const late = once(signal, "abort", { signal: ended.signal }).then(() => Promise.reject(signal.reason))
  try {
    return await Promise.race([work, late])
  } finally {
    late.catch(() => {})
    ended.abort()
  }
}

async function read(
  response: http.IncomingMessage,
  { bytes }: FetchLimits,
  fetched: Fetched,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  try {
    for await (const chunk of response) {
      fetched.bytes += chunk.length
      if (fetched.bytes > bytes) throw new Unfetched(`with it, the request's pictures have more than ${bytes} bytes`)
      chunks.push(chunk)
    }
  } catch (error) {
    if (error instanceof Unfetched) throw error
    throw new Unfetched(signal.aborted ? "it takes too long" : "it ends too early")
  } finally {
    response.destroy()
  }
  return Buffer.concat(chunks)
}
