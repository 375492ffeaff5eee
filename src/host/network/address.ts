/**
 * Addresses that users and servers give. A user name or a password in one would be in every message and record that names
 * it, so such addresses are refused, in words without them.
 */
import { oneLine, UserError } from "../../core/errors.ts"

/** With "..." in place of all that may belong to a name or a password: `http://...@host/x`, also where it is not an address. */
export function withoutCredentials(text: string): string {
  return text.replace(/^([a-z][a-z0-9+.-]*:[/\\]+)?.*@/is, (_, scheme = "") => `${scheme}...@`)
}

/** Returns `url`, of any scheme. @throws UserError where it has a user name or a password */
export function requireNoCredentials(url: string): string {
  if (!hasCredentials(url)) return url
  throw new UserError(
    `${oneLine(withoutCredentials(url))}: addresses with a user name or a password are not read`,
    "leave them out: they would be in messages and records; copy the files here, or use a store that reads its credentials from the environment",
  )
}

/** Reads addresses as browsers do: those of the web may have any number of slashes. */
function hasCredentials(url: string): boolean {
  return /^(https?:[/\\]*|[a-z][a-z0-9+.-]*:[/\\]{2,})[^/?#\\]*@/i.test(url.trim().replaceAll(/[\t\r\n]/g, ""))
}

/**
 * An address of http or https.
 *
 * @param what what it is, for the message: "the hub's address"
 * @throws UserError where it is not one, or has a user name or a password
 */
export function webAddress(text: string, what: string, hint: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  const shown = oneLine(withoutCredentials(text))
  if (url?.protocol !== "https:" && url?.protocol !== "http:")
    throw new UserError(`${what} "${shown}" is not an http or https address`, hint)
  if (url.username === "" && url.password === "") return url
  throw new UserError(`${what} "${shown}" has a user name or a password, which would be in messages`, hint)
}
