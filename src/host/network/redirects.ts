/** `fetch` that goes where a server sends it only as far as that is safe. */
import { UserError } from "../../core/errors.ts"
import { requireNoCredentials } from "./address.ts"

const mostRedirects = 10

const redirects = [301, 302, 303, 307, 308]

/**
 * The answer of a GET or a HEAD after all redirects. Headers for one origin (Authorization, Cookie) are not sent to another.
 * Throws UserError where redirects do not end, lead from https to http or out of the web, or to an address with a user
 * name or a password.
 */
export async function fetchFollowing(fetch: typeof globalThis.fetch, url: URL, init: RequestInit): Promise<Response> {
  requireNoCredentials(url.href)
  let headers = new Headers(init.headers)
  let at = url
  for (let hops = 0; hops <= mostRedirects; hops++) {
    const response = await fetch(at, { ...init, headers, redirect: "manual" })
    const location = response.headers.get("Location")
    if (!redirects.includes(response.status) || location === null) return response
    await response.body?.cancel()
    const next = checkedRedirect(at, location)
    if (next.origin !== at.origin) headers = withoutSecrets(headers)
    at = next
  }
  throw new UserError(`${url.host} redirects without end`, "check the address")
}

function checkedRedirect(from: URL, location: string): URL {
  const to = URL.canParse(location, from.href) ? new URL(location, from) : null
  if (to && (to.username !== "" || to.password !== ""))
    throw new UserError(
      `${from.host} redirects to an address at ${to.host} with a user name or a password, which is not followed`,
      "ask who runs that server",
    )
  if (to?.protocol === "https:" || (to?.protocol === "http:" && from.protocol === "http:")) return to
  const where = to ? `${to.protocol}//${to.host}` : "what is not an address"
  throw new UserError(`${from.host} redirects to ${where}, which is not followed`, `${from.protocol} was asked for`)
}

function withoutSecrets(headers: Headers): Headers {
  const kept = new Headers(headers)
  for (const name of ["Authorization", "Cookie", "Proxy-Authorization"]) kept.delete(name)
  return kept
}
