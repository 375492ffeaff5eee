/** The application: every protocol on one server, with what holds for all of them. */
import { OpenAPIHono } from "@hono/zod-openapi"
import { bodyLimit } from "hono/body-limit"
import { cors } from "hono/cors"
import { routePath } from "hono/route"
import { secureHeaders } from "hono/secure-headers"
import { version } from "../../host/version.ts"
import { cohere } from "../protocols/cohere.ts"
import { immich } from "../protocols/immich.ts"
import { ollama } from "../protocols/ollama.ts"
import { openai } from "../protocols/openai.ts"
import { own } from "../protocols/own.ts"
import { search } from "../protocols/search.ts"
import { weaviate } from "../protocols/weaviate.ts"
import { openPaths, requireToken } from "../safety/tokens.ts"
import type { Protocol, ServeApp, ServeContext, Variables } from "./context.ts"
import { RequestError, requestError } from "./errors.ts"
import { Metrics } from "./metrics.ts"

const protocols: readonly Protocol[] = [openai, cohere, ollama, weaviate, immich, own, search]

/** A request that was answered. It has nothing of what was asked. */
export interface RequestRecord {
  readonly method: string
  /** As it was declared. */
  readonly route: string
  readonly status: number
  readonly milliseconds: number
}

export interface AppOptions {
  /** What requests have to bring; none: everybody may ask. */
  readonly tokens?: readonly string[] | undefined
  /** Origins whose pages may ask ("*": all); absent: none but the server's own. */
  readonly corsOrigins?: readonly string[] | undefined
  readonly onRequest?: ((record: RequestRecord) => void) | undefined
  /** Gets an error that is a fault of ours, with its stack. */
  readonly onFault?: ((error: unknown) => void) | undefined
}

export function createApp(context: ServeContext, options: AppOptions = {}): ServeApp {
  const { tokens = [], corsOrigins, onRequest, onFault } = options
  const app: ServeApp = new OpenAPIHono<{ Variables: Variables }>({
    defaultHook: (result) => {
      if (!result.success) throw invalid(result.error)
    },
  })
  const metrics = new Metrics(context.models)
  app.onError((error, c) => {
    const told = requestError(jsonError(error))
    if (told.kind === "internal") onFault?.(error)
    return refusal(c.req.path, told)
  })
  app.notFound((c) => refusal(c.req.path, new RequestError("notFound", `there is no ${c.req.method} ${c.req.path}`)))
  app.use(async (c, next) => {
    const began = performance.now()
    c.set("signal", AbortSignal.any([c.req.raw.signal, AbortSignal.timeout(context.limits.seconds * 1000)]))
    await next()
    const [route, milliseconds] = [c.res.status === 404 ? "*" : routePath(c, -1), performance.now() - began]
    metrics.record(route, c.res.status, milliseconds / 1000)
    onRequest?.({ method: c.req.method, route, status: c.res.status, milliseconds })
  })
  app.use(secureHeaders({ crossOriginResourcePolicy: corsOrigins ? false : "same-origin" }))
  if (corsOrigins) app.use(cors({ origin: corsOrigins.includes("*") ? "*" : [...corsOrigins] }))
  app.use(async (c, next) => {
    if (!openPaths.includes(c.req.path)) requireToken(c.req.header("authorization"), tokens)
    await next()
  })
  app.use(bodyLimit({ maxSize: context.limits.bodyBytes, onError: () => Promise.reject(tooLarge(context)) }))
  for (const { register } of protocols) register(app, context)
  app.get("/metrics", async (c) => c.body(await metrics.text(), 200, { "Content-Type": metrics.contentType }))
  app.doc31("/openapi.json", openapi)
  return app
}

const openapi = {
  openapi: "3.1.0",
  info: {
    title: "mobileclip",
    version: version(),
    description: "Vectors of texts and pictures in one space, in the forms of several services.",
  },
}

function refusal(path: string, error: RequestError): Response {
  const { errorBody } = protocols.find(({ owns }) => owns(path)) ?? openai
  const headers: Record<string, string> = {}
  if (error.retryAfter !== null) headers["Retry-After"] = String(error.retryAfter)
  if (error.kind === "unauthorized") headers["WWW-Authenticate"] = "Bearer"
  return Response.json(errorBody(error), { status: error.status, headers })
}

function tooLarge({ limits }: ServeContext): RequestError {
  return new RequestError("tooLarge", `a request may have ${limits.bodyBytes} bytes`)
}

interface Issue {
  readonly path: readonly PropertyKey[]
  readonly message: string
}

function invalid({ issues }: { readonly issues: readonly Issue[] }): RequestError {
  const [first] = issues
  const field = first!.path.map(String).join(".")
  return new RequestError("invalid", `${field || "the body"}: ${first!.message}`, field || null)
}

/** Hono's own refusal of a body that is not JSON. */
function jsonError(error: unknown): unknown {
  if (error instanceof RequestError) return error
  const { status, message } = error as { status?: unknown; message?: string }
  return status === 400 ? new RequestError("invalid", message ?? "the body is not JSON") : error
}
