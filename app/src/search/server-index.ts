/** The index of the page's own server, where it has one. Queries go to that server and to no other. */
import { UserError } from "mobileclip/browser"

export interface ServerHit {
  readonly id: string
  readonly name: string
  readonly z: number | null
  readonly isMatch: boolean
  /** Address of a small copy. */
  readonly thumbnail: string | null
}

export interface ServerAnswer {
  readonly hits: readonly ServerHit[]
  readonly matches: number
}

/** Throws UserError where the server does not answer as expected; the signal's reason. */
export async function searchServer(query: string, limit: number, signal: AbortSignal): Promise<ServerAnswer> {
  const response = await fetch(new URL("./v1/search", document.baseURI), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ query, limit }),
    signal,
  }).catch((error: unknown) => {
    signal.throwIfAborted()
    throw new UserError("the server does not answer", "look whether it still runs", { cause: error })
  })
  const body: unknown = await response.json().catch(() => null)
  if (!response.ok) throw new UserError(messageIn(body) ?? `the server answers ${response.status}`, undefined)
  const { hits, matches } = Object(body) as { hits?: unknown; matches?: unknown }
  if (!Array.isArray(hits)) throw new UserError("the server's answer has no hits", "update it to this page's version")
  const read = hits.map(hitOf)
  return { hits: read, matches: typeof matches === "number" ? matches : read.filter(({ isMatch }) => isMatch).length }
}

function messageIn(body: unknown): string | null {
  const message = Object(Object(body).error).message as unknown
  return typeof message === "string" ? message : null
}

function hitOf(value: unknown): ServerHit {
  const { id, name, z, verdict, thumbnail } = Object(value) as Readonly<Record<string, unknown>>
  return {
    id: String(id ?? name ?? ""),
    name: String(name ?? id ?? "a picture"),
    z: typeof z === "number" ? z : null,
    isMatch: verdict !== "weak",
    thumbnail: typeof thumbnail === "string" ? addressOf(thumbnail) : null,
  }
}

/** A data URI, or an address of this server; base64 alone is a JPEG file. */
function addressOf(thumbnail: string): string | null {
  if (thumbnail.startsWith("data:image/")) return thumbnail
  if (/^[A-Za-z0-9+/]{64,}=*$/.test(thumbnail) && !thumbnail.startsWith("/v1/"))
    return `data:image/jpeg;base64,${thumbnail}`
  if (!URL.canParse(thumbnail, document.baseURI)) return null
  const url = new URL(thumbnail, document.baseURI)
  return url.origin === location.origin ? url.href : null
}
