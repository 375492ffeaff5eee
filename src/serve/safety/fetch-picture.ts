/**
 * Pictures from addresses in requests, for servers that allow them: never from this machine or its network. What a name stands for
 * is looked up once, checked, and that address is connected to, so that a second answer of the name server changes nothing; the
 * same at every redirect.
 */
import { lookup } from "node:dns/promises"
import http from "node:http"
import https from "node:https"
import { isIP } from "node:net"
import ipaddr from "ipaddr.js"
import type { FetchPicture } from "../http/content.ts"
import { RequestError } from "../http/errors.ts"

export interface FetchLimits {
  /** Bytes of a picture's file. */
  readonly bytes: number
  readonly redirects: number
  readonly seconds: number
}

export const fetchDefaults: FetchLimits = { bytes: 32 * 2 ** 20, redirects: 3, seconds: 10 }

/** What names stand for, and which addresses are allowed: tests have their own. */
export interface NetworkRules {
  resolve(name: string): Promise<readonly string[]>
  isAllowed(address: string): boolean
}

export const publicNetwork: NetworkRules = {
  resolve: async (name) => (await lookup(name, { all: true })).map(({ address }) => address),
  isAllowed: isPublic,
}

/** Whether an address is of the public internet: not this machine, a private network, link-local (where clouds keep secrets) or reserved. */
export function isPublic(address: string): boolean {
  if (!ipaddr.isValid(address)) return false
  // ::ffff:127.0.0.1 is 127.0.0.1, and ::/96 was once another way to write such an address.
  const parsed = ipaddr.process(address)
  return parsed.range() === "unicast" && !(parsed.kind() === "ipv6" && parsed.toString().startsWith("::"))
}

/** The bytes at an address. Throws RequestError that does not tell what is in the server's network. */
export function pictureFetcher(
  limits: FetchLimits = fetchDefaults,
  network: NetworkRules = publicNetwork,
): FetchPicture {
  return async (url, field, signal) => {
    try {
      return await bytesAt(url, limits, network, signal)
    } catch (error) {
      if (!(error instanceof Unfetched)) throw error
      throw new RequestError("invalid", `a picture cannot be fetched from its address: ${error.message}`, field)
    }
  }
}

/** Why there is no picture: the rest of a sentence. */
class Unfetched extends Error {}

async function bytesAt(url: string, limits: FetchLimits, network: NetworkRules, signal: AbortSignal) {
  const stop = AbortSignal.any([signal, AbortSignal.timeout(limits.seconds * 1000)])
  let next = parse(url)
  for (let hop = 0; hop <= limits.redirects; hop++) {
    const answer = await request(next, network, stop)
    if (answer.kind === "redirect") next = parse(answer.location, next)
    else return read(answer.response, limits, stop)
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
  const response = await connect(url, await allowedAddress(url, network), signal)
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
async function allowedAddress({ hostname }: URL, network: NetworkRules): Promise<string> {
  const name = hostname.replace(/^\[|\]$/g, "")
  const addresses = isIP(name) ? [name] : await network.resolve(name).catch(() => [])
  if (addresses.length === 0) throw new Unfetched("its name is not known")
  if (!addresses.every((address) => network.isAllowed(address))) throw new Unfetched("it is not of the public internet")
  return addresses[0]!
}

async function read(response: http.IncomingMessage, { bytes }: FetchLimits, signal: AbortSignal): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of response) {
      size += chunk.length
      if (size > bytes) throw new Unfetched(`it has more than ${bytes} bytes`)
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
