/** The application: every protocol on one server, with what holds for all of them. */
import type { HttpBindings } from "@hono/node-server"
import { createRoute, OpenAPIHono, z } from "@hono/zod-openapi"
import type { Context, MiddlewareHandler } from "hono"
import { cors } from "hono/cors"
import { matchedRoutes, routePath } from "hono/route"
import { secureHeaders } from "hono/secure-headers"
import { type AppFiles, isPagePath } from "../app-files.ts"
import { cohere } from "../protocols/cohere.ts"
import { immich } from "../protocols/immich.ts"
import { ollama } from "../protocols/ollama.ts"
import { openai } from "../protocols/openai.ts"
import { own } from "../protocols/own.ts"
import { search } from "../protocols/search.ts"
import { weaviate } from "../protocols/weaviate.ts"
import { requireLocalName, requireOwnOrigin } from "../safety/foreign-pages.ts"
import { openPaths, requireToken } from "../safety/tokens.ts"
import { type BodyForm, bodyReader } from "./body.ts"
import { statusOfBroken } from "./broken-requests.ts"
import type { Protocol, ServeApp, ServeContext, ServeEnvironment } from "./context.ts"
import { describe } from "./description.ts"
import { RequestError, requestError } from "./errors.ts"
import { Metrics, type RequestRecord } from "./metrics.ts"
import { schemaRefusal } from "./schema-refusal.ts"
import { signalOf } from "./signal.ts"

const protocols: readonly Protocol[] = [openai, cohere, ollama, weaviate, immich, own, search]

export interface AppOptions {
  /** What requests have to bring; none: everybody may ask. */
  readonly tokens?: readonly string[] | undefined
  /** Whether requests have to name this machine as it names itself: localhost, or by an address. Default: no. */
  readonly hasLocalNames?: boolean
  /** The page for people; none: there is none. */
  readonly page?: AppFiles | null | undefined
  /** Origins whose pages may ask ("*": all); absent: none but the server's own. */
  readonly corsOrigins?: readonly string[] | undefined
  readonly onRequest?: ((record: RequestRecord) => void) | undefined
  /** Gets what clients are not told: a UserError where a model cannot be used now, else a fault of ours with its stack. */
  readonly onFault?: ((error: unknown) => void) | undefined
}

/** @param metrics gets what is answered, and is what `/metrics` tells */
export function createApp(
  context: ServeContext,
  options: AppOptions = {},
  metrics = new Metrics(context.models, context.index),
): ServeApp {
  const { tokens = [], hasLocalNames = false, page, corsOrigins, onFault } = options
  const app: ServeApp = new OpenAPIHono<ServeEnvironment>({
    defaultHook: (result) => {
      if (!result.success) throw schemaRefusal(result.error.issues, (result as { data?: unknown }).data)
    },
  })
  app.onError((error, c) => {
    const told = requestError(jsonError(error), protocolOf(c.req.path).content)
    if (told.kind === "internal" || (told.kind === "unavailable" && told !== error)) onFault?.(error)
    return refusal(c, told)
  })
  app.notFound((c) => {
    const methods = methodsOf(app, c.req.path)
    if (methods.length === 0) return refusal(c, new RequestError("notFound", `there is no ${c.req.path}`))
    const message = `${c.req.path} takes ${methods.join(" and ")}, not ${c.req.method}`
    return refusal(c, new RequestError("method", message, null, null, { Allow: methods.join(", ") }))
  })
  app.use(recording(context, metrics, options))
  // Who adds TLS decides what browsers remember of it, for the name and all below it.
  const crossOriginResourcePolicy = corsOrigins ? false : "same-origin"
  app.use(secureHeaders({ crossOriginResourcePolicy, strictTransportSecurity: false }))
  if (corsOrigins) app.use(cors({ origin: corsOrigins.includes("*") ? "*" : [...corsOrigins] }))
  app.use(async (c, next) => {
    requireHost(c.env.incoming)
    if (hasLocalNames) requireLocalName(c.req.header("host"))
    requireOwnOrigin(c.req.raw, corsOrigins)
    const isOpen = openPaths.includes(c.req.path) || (page && isPagePath(c.req.path))
    if (!isOpen && !context.thumbnailKeys?.opens(new URL(c.req.url)))
      requireToken(c.req.header("authorization"), tokens)
    await next()
  })
  app.use(bodyReader(context.limits, bodyFormOf))
  for (const { register } of protocols) register(app, context)
  page?.register(app)
  app.openapi(metricsRoute, async (c) => c.text(await metrics.text(), 200, { "Content-Type": metrics.contentType }))
  const description = describe(app, protocolOf)
  app.get("/openapi.json", (c) => c.json(description))
  return app
}

/** Says how long a request may take, and writes down how long it took. */
function recording(
  { limits }: ServeContext,
  metrics: Metrics,
  { onRequest }: AppOptions,
): MiddlewareHandler<ServeEnvironment> {
  return async (c, next) => {
    const began = performance.now()
    c.set("signal", signalOf(c.env.outgoing, limits.seconds))
    await next()
    const isDeclared = matchedRoutes(c).some(({ method }) => method !== "ALL")
    const [route, milliseconds] = [isDeclared ? routePath(c, -1) : "*", performance.now() - began]
    const status = statusOfBroken(c.env.outgoing) ?? c.res.status
    record(metrics, onRequest, { method: c.req.method, route, status, milliseconds })
  }
}

/** Throws RequestError. Node's own refusal would have neither a body nor a line in the log. */
function requireHost({ httpVersion, headers }: HttpBindings["incoming"]): void {
  if (httpVersion === "1.0" || headers.host !== undefined) return
  throw new RequestError("invalid", "the request has no Host: send that header with the name or address of this server")
}

/** Into the counts, and for whoever writes a log. */
export function record(metrics: Metrics, onRequest: AppOptions["onRequest"], one: RequestRecord): void {
  metrics.record(one)
  onRequest?.(one)
}

const metricsRoute = createRoute({
  method: "get",
  path: "/metrics",
  summary: "Counts of requests, queues, caches and processes, in Prometheus' form",
  responses: { 200: { description: "Text", content: { "text/plain": { schema: z.string() } } } },
})

function protocolOf(path: string): Protocol {
  return protocols.find(({ owns }) => owns(path)) ?? openai
}

/** In the shape of the protocol that has the path; null: of a request that named none. */
export function errorBodyOf(error: RequestError, path: string | null): object {
  return protocolOf(path ?? "").errorBody(error)
}

/** That a path is declared with. */
function methodsOf({ router }: ServeApp, path: string): string[] {
  const declared = (method: string) => router.match(method, path)[0].some(([[, route]]) => route.method === method)
  return ["GET", "POST"].filter(declared)
}

function bodyFormOf(path: string): BodyForm {
  const { forms = [], isUntyped } = protocolOf(path)
  if (forms.includes(path)) return "form"
  return isUntyped ? "untyped" : "json"
}

function refusal(c: Context<ServeEnvironment>, error: RequestError): Response {
  const { errorBody } = protocolOf(c.req.path)
  const headers: Record<string, string> = { ...error.headers }
  if (error.retryAfter !== null) headers["Retry-After"] = String(error.retryAfter)
  // A browser asks its user for it where the page wants something: the token is the password.
  if (error.kind === "unauthorized")
    headers["WWW-Authenticate"] = isOfPage(c) ? 'Basic realm="mobileclip, the token as password"' : "Bearer"
  return Response.json(errorBody(error), { status: error.status, headers })
}

/** Over plain HTTP from another machine, browsers name the origin of what they send, and do not say whether it is the same. */
function isOfPage({ req }: Context<ServeEnvironment>): boolean {
  const origin = req.header("origin") ?? ""
  const isSameOrigin = URL.canParse(origin) && new URL(origin).host === req.header("host")
  return req.path.startsWith("/app/") || req.header("sec-fetch-site") === "same-origin" || isSameOrigin
}

/** Hono's own refusal of a body that is not JSON. */
function jsonError(error: unknown): unknown {
  if (error instanceof RequestError) return error
  const { status } = error as { status?: unknown }
  return status === 400 ? new RequestError("invalid", "the body is not JSON: an object is expected") : error
}
