/**
 * Immich's machine-learning service as far as a CLIP goes: `POST /predict` (a form with `entries`, and `image` or `text`),
 * `GET /ping`. Vectors have length 1, as Immich's database expects them. Source: immich-app/immich
 * `machine-learning/immich_ml/main.py`, `schemas.py`. What this server does not have (faces, text recognition) is refused as
 * Immich's refuses what it does not know.
 */
import { createRoute, z } from "@hono/zod-openapi"
import { jsonOrNull } from "../../core/json.ts"
import { pictureSize } from "../../host/image/picture-size.ts"
import { type Content, encodeContents } from "../http/content.ts"
import type { Protocol, ServeApp, ServeContext } from "../http/context.ts"
import { RequestError } from "../http/errors.ts"
import { askingOf, jsonResponse } from "../http/requests.ts"
import { textContent } from "./shared.ts"

const entry = z.object({ modelName: z.string(), options: z.object({}).loose().optional() })
const entries = z.object({ clip: z.object({ visual: entry.optional(), textual: entry.optional() }).strict() }).strict()

const pingRoute = createRoute({
  method: "get",
  path: "/ping",
  summary: "Whether the server runs (Immich)",
  responses: { 200: { description: "pong", content: { "text/plain": { schema: z.literal("pong") } } } },
})
const form = z
  .object({
    entries: z.string().describe('JSON: {"clip": {"visual" or "textual": {"modelName": ...}}}'),
    image: z.string().optional().openapi({ format: "binary" }),
    text: z.string().optional(),
  })
  .openapi("ImmichPredictRequest")
const answer = z
  .object({
    clip: z.string().describe("A unit vector as JSON in a text"),
    imageHeight: z.int().optional(),
    imageWidth: z.int().optional(),
  })
  .openapi("ImmichPredictResponse")
/** For the description alone: Immich's own refusals of a form are of another kind than a schema's. */
const predictRoute = {
  method: "post",
  path: "/predict",
  summary: "The unit vector of a picture or a text (Immich)",
  request: { body: { content: { "multipart/form-data": { schema: form } }, required: true } },
  responses: { 200: jsonResponse(answer, "The vector, and the picture's size") },
} as const

export const immich: Protocol = {
  name: "Immich",
  owns: (path) => path === "/predict" || path === "/ping",
  forms: ["/predict"],
  register,
  errorBody: ({ message }) => ({ detail: message }),
}

function register(app: ServeApp, context: ServeContext): void {
  app.openapi(pingRoute, (c) => c.text("pong" as const, 200))
  app.openAPIRegistry.registerPath(predictRoute)
  app.post("/predict", async (c) => c.json(await predict(await c.req.parseBody(), context, c.get("signal"))))
}

type Form = Readonly<Record<string, string | File | (string | File)[]>>

async function predict(form: Form, { models }: ServeContext, signal: AbortSignal): Promise<object> {
  const { visual, textual } = entriesOf(form.entries)
  const content = await contentOf(form)
  const wanted = content.kind === "picture" ? visual : textual
  if (!wanted) throw invalidFormat()
  return models.use(wanted.modelName, async (engine) => {
    const [vector] = await encodeContents(engine, [content], askingOf(1, signal))
    // A text that holds JSON, as Immich's service writes it and its database reads it.
    const clip = JSON.stringify([...vector!])
    if (content.kind === "text") return { clip }
    const { width, height } = await pictureSize(content.bytes, "the picture")
    return { clip, imageHeight: height, imageWidth: width }
  })
}

async function contentOf({ image, text }: Form): Promise<Content> {
  if (image instanceof File) return { kind: "picture", bytes: new Uint8Array(await image.arrayBuffer()) }
  if (typeof text === "string") return textContent(text)
  throw new RequestError("invalid", "Either image or text must be provided")
}

function entriesOf(value: unknown) {
  const { success, data } = entries.safeParse(typeof value === "string" ? jsonOrNull(value) : null)
  if (!success) throw invalidFormat()
  return data.clip
}

function invalidFormat(): RequestError {
  return new RequestError("unsupported", "Invalid request format.")
}
