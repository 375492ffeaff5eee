/** The description of the interface (`/openapi.json`): what routes say of themselves, with what holds for all of them. */
import { z } from "@hono/zod-openapi"
import { version } from "../../host/version.ts"
import { openPaths } from "../safety/tokens.ts"
import type { Protocol, ServeApp } from "./context.ts"
import { RequestError, statuses } from "./errors.ts"

const info = {
  title: "mobileclip",
  version: version(),
  description: "Vectors of texts and pictures in one space, in the forms of several services.",
}

/** Statuses that a request may be refused with, and why. */
const always = {
  forbidden: "A page of another site, or a foreign name",
  internal: "A fault of the server",
  timeout: "It took too long",
}
const guarded = { unauthorized: "A token is missing, or is not known" }
const ofWork = {
  ...{ invalid: "The request, or a picture, cannot be used", notFound: "No such model, or no such thing" },
  ...{ unsupported: "A picture that ends the process, or a form of something else" },
  ...{ busy: "Too much waits: Retry-After says for how long", unavailable: "The model cannot be opened now" },
}
const ofBodies = { tooLarge: "Too many bytes, values or parts", mediaType: "A body of another type" }

type Operation = { responses: Record<string, object>; security?: object[]; tags?: string[]; operationId?: string }

/** @param protocolOf whose shape a path's refusals have */
export function describe(app: ServeApp, protocolOf: (path: string) => Protocol): object {
  const document = app.getOpenAPI31Document({ openapi: "3.1.0", info })
  for (const [path, methods] of Object.entries(document.paths ?? {}))
    for (const [method, operation] of Object.entries(methods as Record<string, Operation>))
      complete(operation, path, method, protocolOf(path))
  const securitySchemes = { token: { type: "http", scheme: "bearer", description: "Where the server has tokens" } }
  return { ...document, components: { ...document.components, securitySchemes } }
}

function complete(operation: Operation, path: string, method: string, protocol: Protocol): void {
  const isOpen = openPaths.includes(path)
  const reasons = {
    ...always,
    ...(!isOpen && guarded),
    ...((method === "post" || isWork(path)) && ofWork),
    ...(method === "post" && ofBodies),
  }
  const schema = schemaOf(protocol)
  const refusals = Object.entries(reasons).map(([kind, description]) => [
    String(statuses[kind as keyof typeof reasons]),
    { description, content: { "application/json": { schema } } },
  ])
  operation.responses = { ...Object.fromEntries(refusals), ...operation.responses }
  operation.security = isOpen ? [] : [{ token: [] }, {}]
  operation.tags = [protocol.name]
  operation.operationId = `${method}${path.replace(/[^a-zA-Z0-9]+(\w?)/g, (_, letter: string) => letter.toUpperCase())}`
}

/** Whether getting it asks a model or the index. */
function isWork(path: string): boolean {
  return path.includes("{") || path === "/meta" || path === "/v1/search/index"
}

/** From what it answers: the fields of each refusal are the same. */
function schemaOf({ errorBody }: Protocol): object {
  const { $schema: _, ...schema } = z.toJSONSchema(shapeOf(errorBody(new RequestError("invalid", "", ""))))
  return schema
}

function shapeOf(body: object): z.ZodType {
  const fields = Object.entries(body).map(([name, value]) => [
    name,
    typeof value === "object" && value !== null ? shapeOf(value) : z.union([z.string(), z.null()]),
  ])
  return z.object(Object.fromEntries(fields))
}
