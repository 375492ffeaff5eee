/**
 * Which names a server without tokens may be asked by, where it listens on this machine alone. A page of the internet can let its
 * own name stand for this machine (DNS rebinding), and would then be of the server's origin for a browser: its requests bring that
 * name.
 */
import { isIP } from "node:net"
import { quoted } from "../../core/errors.ts"
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

/** An address is not a name that somebody else could let stand for this machine. */
function isLocal(header: string): boolean {
  if (!URL.canParse(`http://${header}`)) return false
  const name = new URL(`http://${header}`).hostname.replace(/^\[|\]$/g, "")
  return isIP(name) > 0 || name === "localhost" || name.endsWith(".localhost")
}
