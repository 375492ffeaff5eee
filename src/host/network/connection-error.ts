/** Errors of a connection: what they mean in words, and whether another attempt may help. */
import { messageOf, oneLine } from "../../core/errors.ts"

interface ConnectionError {
  readonly reason: string
  /** Whether the reason names the host. */
  readonly namesHost: boolean
  /** Further attempts that may help. */
  readonly mostRetries: number
}

/** @param cause what Node says: several addresses of one host fail together, with an empty message of their own */
export function connectionError(cause: unknown): ConnectionError {
  const first = cause instanceof AggregateError ? cause.errors[0] : cause
  const { code = "", hostname } = (first ?? {}) as { code?: string; hostname?: string }
  const reason = oneLine(messageOf(first ?? "the connection broke"), 200) || code
  const plain = { reason, namesHost: false, mostRetries: Number.POSITIVE_INFINITY }
  if (code === "ENOTFOUND" && hostname) return { reason: `${hostname} was not found`, namesHost: true, mostRetries: 1 }
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
