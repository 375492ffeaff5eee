/**
 * Pages of the internet, in a browser on this machine, that ask a server which is not theirs. One can let its own name stand for
 * this machine (DNS rebinding), and would then be of the server's origin for the browser: its requests bring that name.
 */
import { isIP } from "node:net"
import { quoted, UserError } from "../../core/errors.ts"
import { RequestError } from "../http/errors.ts"

const loopback: readonly string[] = ["localhost", "127.0.0.1", "::1"]

/** Whether a server that listens there is reached from this machine alone. */
export function isLoopback(host: string): boolean {
  return loopback.includes(host)
}

/** Throws RequestError. Browsers always name a host; what names none is not a page. */
export function requireLocalName(header: string | undefined): void {
  if (header === undefined || isLocal(header)) return
  throw new RequestError(
    "forbidden",
    `this server answers at localhost, not at ${quoted(header)}: start it with --token-file, or --open, to be asked by other names`,
  )
}

/**
 * Throws RequestError. Another page may send forms, and bodies without a type, without asking first: it cannot read the answers,
 * but makes this machine compute, and fetch.
 *
 * @param allowed origins ("*": all) whose pages may ask
 */
export function requireOwnOrigin({ method, headers }: Request, allowed: readonly string[] = []): void {
  if (["GET", "HEAD", "OPTIONS"].includes(method)) return
  const origin = headers.get("origin")
  if (allowed.includes("*") || (origin !== null && allowed.includes(origin)) || isOwn(origin, headers)) return
  throw new RequestError("forbidden", "pages of other origins may not ask this server, unless --cors names them")
}

/** Browsers say it over TLS and to this machine itself; elsewhere the names are compared. Others than browsers name neither. */
function isOwn(origin: string | null, headers: Headers): boolean {
  const site = headers.get("sec-fetch-site")
  if (site !== null) return site === "same-origin" || site === "none"
  return origin === null || (URL.canParse(origin) && new URL(origin).host === headers.get("host"))
}

/** Throws UserError where one would never be what a browser sends. */
export function requireOrigins(given: readonly string[]): void {
  const wrong = given.find((each) => each !== "*" && !isOrigin(each))
  if (wrong === undefined) return
  throw new UserError(
    `${quoted(wrong)} is not a web page's origin`,
    "write https://name or http://name:port, without a path",
  )
}

/** Programs that show pages have schemes of their own, such as app://name. */
function isOrigin(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, origin } = new URL(text)
  return ["http:", "https:"].includes(protocol) ? text === origin : /^[a-z][a-z0-9+.-]*:\/\/[^/?#\s]+$/.test(text)
}

/** An address is not a name that somebody else could let stand for this machine. */
function isLocal(header: string): boolean {
  if (!URL.canParse(`http://${header}`)) return false
  const name = new URL(`http://${header}`).hostname.replace(/^\[|\]$/g, "")
  return isIP(name) > 0 || name === "localhost" || name.endsWith(".localhost")
}
