/** The index of the page's own server, where it has one. Queries go to that server and to no other. */
import { UserError } from "mobileclip/browser"

export interface ServerHit {
  readonly id: string
  /** The file below its folder. */
  readonly name: string
  readonly cosine: number
  /** Spreads above what this query finds by chance; null: unknown. */
  readonly z: number | null
  /** Null where nothing says it. */
  readonly verdict: "match" | "weak" | null
  readonly caption: string | null
  /** Address of a small copy on this server. */
  readonly thumbnail: string
  /** The same, as large as the server makes it. */
  readonly large: string
}

export interface ServerAnswer {
  readonly hits: readonly ServerHit[]
  /** How many hits of this page are matches; null: nothing says it. */
  readonly matches: number | null
  /** Pictures that were compared. */
  readonly searched: number
  readonly notes: readonly string[]
  /** For the next page; null: there is none. */
  readonly cursor: string | null
}

export interface IndexDescription {
  readonly pictures: number
  readonly model: string
  readonly folders: readonly string[]
}

/** Words, or the id of a picture that hits are to be like. */
export type ServerQuestion = { readonly query: string } | { readonly like: string }

const pageSize = 24

/** Throws UserError where the server does not answer as expected; the signal's reason. */
export async function searchServer(
  question: ServerQuestion,
  cursor: string | null,
  signal: AbortSignal,
): Promise<ServerAnswer> {
  const body = JSON.stringify({ ...question, limit: pageSize, ...(cursor !== null && { cursor }) })
  const headers = { "Content-Type": "application/json" }
  const answer = await answerOf("./v1/search", { method: "POST", headers, body, signal })
  const { hits, ...others } = answer as unknown as ServerAnswer
  if (!Array.isArray(hits)) throw new UserError("the server's answer has no hits", "update it to this page's version")
  return { ...others, hits: hits.map((hit) => ({ ...hit, ...copiesAt(hit.thumbnail) })) }
}

/** What stands out, and the others; all are nearest ones where nothing says which of them fit. */
export function divided({ hits, matches }: ServerAnswer): readonly [above: ServerHit[], below: ServerHit[]] {
  const isAbove = ({ verdict }: ServerHit) => matches === null || verdict === "match"
  return [hits.filter(isAbove), hits.filter((hit) => !isAbove(hit))]
}

export async function describeIndex(signal: AbortSignal): Promise<IndexDescription> {
  return (await answerOf("./v1/search/index", { signal })) as unknown as IndexDescription
}

async function answerOf(path: string, init: RequestInit): Promise<object> {
  const response = await fetch(new URL(path, document.baseURI), init).catch((error: unknown) => {
    init.signal?.throwIfAborted()
    throw new UserError("the server does not answer", "look whether it still runs, and try again", { cause: error })
  })
  const body: unknown = await response.json().catch(() => null)
  if (response.status === 401)
    throw new UserError("the server wants a token", "reload the page, and give the token as the password")
  if (!response.ok) throw new UserError(messageIn(body) ?? `the server answers ${response.status}`, undefined)
  return Object(body)
}

function messageIn(body: unknown): string | null {
  const message = Object(Object(body).error).message as unknown
  return typeof message === "string" ? message : null
}

/** The server says where it is from its own top, and may itself be below a path of a proxy. */
function copiesAt(path: string): Pick<ServerHit, "thumbnail" | "large"> {
  const ofSide = (side: number) => {
    const url = new URL(`.${path}`, document.baseURI)
    url.searchParams.set("side", String(side))
    return url.href
  }
  return { thumbnail: ofSide(320), large: ofSide(1024) }
}
