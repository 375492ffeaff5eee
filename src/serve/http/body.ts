/** Bodies of requests: read whole and within limits, before a handler runs. */
import { isUtf8 } from "node:buffer"
import type { IncomingMessage } from "node:http"
import type { HttpBindings } from "@hono/node-server"
import type { Context, MiddlewareHandler } from "hono"
import { matchedRoutes } from "hono/route"
import { formParts, jsonValues } from "./body-parts.ts"
import type { Limits } from "./context.ts"
import { RequestError } from "./errors.ts"

type NodeContext = Context<{ Bindings: HttpBindings }>

/** What the body of a path is. */
export type BodyForm = "json" | "form" | "untyped"

/** @param formOf JSON of whatever type the client names is "untyped" */
export function bodyReader(
  limits: Limits,
  formOf: (path: string) => BodyForm,
): MiddlewareHandler<{ Bindings: HttpBindings }> {
  const held = { bytes: 0 }
  return async (c, next) => {
    const isAwaited = matchedRoutes(c).some(({ method }) => method !== "ALL" && method !== "GET")
    if (!isAwaited) return next()
    const form = formOf(c.req.path)
    requireType(c, form)
    const { incoming } = c.env
    const body = new GrowingBody(limits, held)
    try {
      const bytes = await body.read(incoming)
      if (form === "form") requireFewFields(bytes, c.req.header("content-type") ?? "")
      else requireFewValues(bytes, limits)
      // The adapter takes a body from here where there is one.
      Object.assign(incoming, { rawBody: bytes })
      await next()
    } finally {
      held.bytes -= body.size
      Object.assign(incoming, { rawBody: undefined })
    }
  }
}

class GrowingBody {
  size = 0
  private readonly chunks: Uint8Array[] = []

  constructor(
    private readonly limits: Limits,
    /** All requests together hold so many. */
    private readonly held: { bytes: number },
  ) {}

  /** Throws RequestError where it is too large, or ends too early. */
  async read(incoming: IncomingMessage): Promise<Buffer> {
    if (Number(incoming.headers["content-length"] ?? 0) > this.limits.bodyBytes) throw tooLarge(this.limits)
    await new Promise<void>((resolve, reject) => {
      const gone = () => reject(new RequestError("gone", "the request ended before its body did"))
      const take = (chunk: Uint8Array) => {
        const refusal = this.take(chunk)
        if (!refusal) return
        incoming.off("data", take)
        reject(refusal)
      }
      incoming.on("data", take)
      incoming.once("close", gone).once("error", gone)
      incoming.once("end", () => {
        incoming.off("close", gone)
        resolve()
      })
    })
    return Buffer.concat(this.chunks, this.size)
  }

  /** Why there is no room for more. */
  private take(chunk: Uint8Array): RequestError | null {
    const { bodyBytes, bodiesBytes } = this.limits
    if (this.size + chunk.length > bodyBytes) return tooLarge(this.limits)
    if (this.held.bytes + chunk.length > bodiesBytes)
      return new RequestError("busy", "the requests that are under way hold too many bytes; ask again in 1 s", null, 1)
    this.size += chunk.length
    this.held.bytes += chunk.length
    this.chunks.push(chunk)
    return null
  }
}

/** A part of a request may be an object of objects. */
const valuesOfPart = 8
const otherValues = 200

function requireFewValues(bytes: Buffer, { parts }: Limits): void {
  if (!isUtf8(bytes)) throw new RequestError("invalid", "the body is not UTF-8")
  const most = parts * valuesOfPart + otherValues
  if (jsonValues(bytes, most) <= most) return
  throw new RequestError(
    "tooLarge",
    `the body has more than ${most} values; a request may have ${parts} texts and pictures`,
  )
}

/** Immich's form has two. */
const mostFields = 16

function requireFewFields(bytes: Buffer, type: string): void {
  if (formParts(bytes, type, mostFields) <= mostFields) return
  throw new RequestError("tooLarge", `the form has more than ${mostFields} fields`)
}

function tooLarge({ bodyBytes }: Limits): RequestError {
  return new RequestError("tooLarge", `a request may have ${bodyBytes} bytes`)
}

/** A body without a type is JSON: Weaviate's client names none. */
function requireType(c: NodeContext, form: BodyForm): void {
  const given = c.req.header("content-type") ?? ""
  const type = given.split(";")[0]!.trim().toLowerCase()
  const expected = form === "form" ? "multipart/form-data" : "application/json"
  if (form === "untyped" || (form === "json" && type === "")) c.req.raw.headers.set("Content-Type", expected)
  else if (type !== expected && !(expected === "application/json" && /^application\/[\w.-]+\+json$/.test(type)))
    throw new RequestError("mediaType", `a body of ${expected} is expected: send Content-Type: ${expected}`)
}
