/**
 * Requests that another page made a browser send. It may not read the answer, but would make this machine compute, and fetch: a
 * body without a type needs no leave beforehand (CORS).
 */
import { RequestError } from "../http/errors.ts"

/** @param allowed origins ("*": all) whose pages may ask. Throws RequestError. */
export function requireOwnOrigin({ method, headers }: Request, allowed: readonly string[] = []): void {
  if (["GET", "HEAD", "OPTIONS"].includes(method)) return
  const origin = headers.get("origin")
  if (origin === null || allowed.includes("*") || allowed.includes(origin)) return
  if (isOwn(origin, headers)) return
  throw new RequestError("forbidden", "pages of other origins may not ask this server: name this one with --cors")
}

/** Browsers say it over TLS and to this machine itself; elsewhere the names are compared. */
function isOwn(origin: string, headers: Headers): boolean {
  const site = headers.get("sec-fetch-site")
  if (site !== null) return site === "same-origin" || site === "none"
  return URL.canParse(origin) && new URL(origin).host === headers.get("host")
}
