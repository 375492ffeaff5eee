/** Bearer tokens: which a request has to bring where the server has any. */
import { createHash, timingSafeEqual } from "node:crypto"
import { RequestError } from "../http/errors.ts"

/** Paths that balancers and other services ask without a token. */
export const openPaths: readonly string[] = ["/health", "/ready", "/ping", "/.well-known/live", "/.well-known/ready"]

/** Throws RequestError. The time it takes does not tell how much of a token was right. */
export function requireToken(header: string | undefined, tokens: readonly string[]): void {
  if (tokens.length === 0) return
  const token = /^Bearer (.+)$/i.exec(header ?? "")?.[1] ?? passwordOf(header)
  const given = digest(token ?? "")
  // All are compared, whichever it is.
  const isKnown = tokens.map((token) => timingSafeEqual(given, digest(token))).includes(true)
  if (isKnown) return
  const message = token
    ? "the token is not one of this server's"
    : "a token is expected: send Authorization: Bearer TOKEN"
  throw new RequestError("unauthorized", message)
}

/** Browsers bring what their users type in this form. */
function passwordOf(header: string | undefined): string | undefined {
  const [, encoded] = /^Basic (.+)$/i.exec(header ?? "") ?? []
  return encoded && /:(.*)$/s.exec(Buffer.from(encoded, "base64").toString())?.[1]
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest()
}
