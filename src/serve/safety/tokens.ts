/** Bearer tokens: which a request has to bring where the server has any. */
import { createHash, timingSafeEqual } from "node:crypto"
import { UserError } from "../../core/errors.ts"
import { RequestError } from "../http/errors.ts"

/** Paths that balancers and other services ask without a token. */
export const openPaths: readonly string[] = ["/health", "/ready", "/ping", "/.well-known/live", "/.well-known/ready"]

const shortestToken = 16
const makeOne = "openssl rand -hex 32 makes one"

/**
 * A token is a line; blank lines are passed over, and those that begin with "#".
 *
 * @param from where they are from, for people
 * @throws UserError where there is none, or a line is not one; it has none of the line
 */
export function parseTokens(lines: readonly string[], from: string): string[] {
  const tokens = lines.flatMap((line, i) => {
    const token = line.trim()
    return token === "" || token.startsWith("#") ? [] : [requireGoodToken(token, `line ${i + 1} of ${from}`)]
  })
  // Who names tokens does not mean a server that asks for none.
  if (tokens.length === 0) throw new UserError(`${from} has no token`, `${makeOne}; or name none`)
  return tokens
}

function requireGoodToken(token: string, where: string): string {
  // It would be taken for a part of the token, which nobody would send.
  if (/\s#/.test(token)) throw new UserError(`${where} has a comment after a token`, "put the comment on its own line")
  if (token.length >= shortestToken) return token
  throw new UserError(`${where}: a token has less than ${shortestToken} characters`, makeOne)
}

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
