/** What routes are declared with, and what all of them ask of a request. */
import type { z } from "@hono/zod-openapi"
import type { Asking } from "../engine/served-model.ts"
import type { Limits } from "./context.ts"
import { RequestError } from "./errors.ts"

export function jsonBody<Schema extends z.ZodType>(schema: Schema) {
  return { content: { "application/json": { schema } }, required: true } as const
}

export function jsonResponse<Schema extends z.ZodType>(schema: Schema, description: string) {
  return { content: { "application/json": { schema } }, description } as const
}

export function requireParts(count: number, { parts }: Limits, field: string): void {
  if (count <= parts) return
  throw new RequestError("tooLarge", `${field} has ${count} parts, and a request may have ${parts}`, field)
}

/** A request of so few parts is a person's: it comes before bulk work. */
const fewParts = 8

export function askingOf(parts: number, signal: AbortSignal): Asking {
  return { priority: parts <= fewParts ? "query" : "bulk", signal }
}
