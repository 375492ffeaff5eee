/** The application: every protocol on one server, with what holds for all of them. */
import { OpenAPIHono } from "@hono/zod-openapi"
import { bodyLimit } from "hono/body-limit"
import { version } from "../../host/version.ts"
import { cohere } from "../protocols/cohere.ts"
import { immich } from "../protocols/immich.ts"
import { ollama } from "../protocols/ollama.ts"
import { openai } from "../protocols/openai.ts"
import { weaviate } from "../protocols/weaviate.ts"
import type { Protocol, ServeApp, ServeContext, Variables } from "./context.ts"
import { RequestError, requestError } from "./errors.ts"

const protocols: readonly Protocol[] = [openai, cohere, ollama, weaviate, immich]

export interface AppHooks {
  /** Gets an error that is a fault of ours, with its stack. */
  readonly onFault?: (error: unknown) => void
}

export function createApp(context: ServeContext, { onFault }: AppHooks = {}): ServeApp {
  const app: ServeApp = new OpenAPIHono<{ Variables: Variables }>({
    defaultHook: (result) => {
      if (!result.success) throw invalid(result.error)
    },
  })
  const refuse = (path: string, error: RequestError) => {
    const { errorBody } = protocols.find(({ owns }) => owns(path)) ?? openai
    const headers = error.retryAfter === null ? undefined : { "Retry-After": String(error.retryAfter) }
    return Response.json(errorBody(error), { status: error.status, ...(headers && { headers }) })
  }
  app.onError((error, c) => {
    const told = requestError(jsonError(error))
    if (told.kind === "internal") onFault?.(error)
    return refuse(c.req.path, told)
  })
  app.notFound((c) => refuse(c.req.path, new RequestError("notFound", `there is no ${c.req.method} ${c.req.path}`)))
  app.use(async (c, next) => {
    c.set("signal", AbortSignal.any([c.req.raw.signal, AbortSignal.timeout(context.limits.seconds * 1000)]))
    await next()
  })
  app.use(
    bodyLimit({
      maxSize: context.limits.bodyBytes,
      onError: () => {
        throw new RequestError("tooLarge", `a request may have ${context.limits.bodyBytes} bytes`)
      },
    }),
  )
  for (const { register } of protocols) register(app, context)
  app.doc31("/openapi.json", { openapi: "3.1.0", info: { title: "mobileclip", version: version() } })
  return app
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
  const { status, message } = error as { status?: unknown; message?: string }
  return status === 400 ? new RequestError("invalid", message ?? "the body is not JSON") : error
}
