/**
 * Ollama's `POST /api/embed` and `/api/embeddings`, and what its clients ask before: `/api/version`, `/api/tags`, `/api/ps`,
 * `/api/show`. Pictures are data URIs, or `images`.
 */
import { createRoute, z } from "@hono/zod-openapi"
import { version } from "../../host/version.ts"
import { encodeContents, isDataUri } from "../http/content.ts"
import type { Protocol, ServeApp, ServeContext } from "../http/context.ts"
import { RequestError } from "../http/errors.ts"
import { askingOf, jsonBody, jsonResponse, requireParts } from "../http/requests.ts"
import { pictureContent, requireOwnDimension, requireWhole, textContent, tokensOf } from "./shared.ts"

const request = z
  .object({
    model: z.string(),
    input: z
      .union([z.string(), z.array(z.string())])
      .optional()
      .describe("Texts, or pictures as data URIs"),
    images: z.array(z.string()).optional().describe("Base64 of pictures' files, after the texts"),
    dimensions: z.int().positive().optional().describe("The model's own number, or absent"),
    truncate: z.boolean().optional().describe("false: a text longer than the model's context is refused"),
    keep_alive: z.union([z.string(), z.number()]).optional().describe("Accepted; the server decides"),
    options: z.object({}).loose().optional(),
  })
  .openapi("OllamaEmbedRequest")

const response = z
  .object({
    model: z.string(),
    embeddings: z.array(z.array(z.number())),
    total_duration: z.int().describe("Nanoseconds"),
    load_duration: z.int(),
    prompt_eval_count: z.int(),
  })
  .openapi("OllamaEmbedResponse")

const earlierRequest = z
  .object({ model: z.string(), prompt: z.string(), options: z.object({}).loose().optional() })
  .openapi("OllamaEmbeddingsRequest")
const earlierRoute = createRoute({
  method: "post",
  path: "/api/embeddings",
  summary: "The unit vector of one text or picture (Ollama's earlier interface)",
  request: { body: jsonBody(earlierRequest) },
  responses: { 200: jsonResponse(z.object({ embedding: z.array(z.number()) }), "The vector") },
})
const embedRoute = createRoute({
  method: "post",
  path: "/api/embed",
  summary: "Unit vectors of texts and pictures (Ollama)",
  request: { body: jsonBody(request) },
  responses: { 200: jsonResponse(response, "Vectors, in the order of the input") },
})
const versionRoute = createRoute({
  method: "get",
  path: "/api/version",
  summary: "The server's version (Ollama)",
  responses: { 200: jsonResponse(z.object({ version: z.string() }), "The version") },
})
const named = z.object({ models: z.array(z.object({ name: z.string(), model: z.string() })) })
const tags = createRoute({
  method: "get",
  path: "/api/tags",
  summary: "The models that are served (Ollama)",
  responses: { 200: jsonResponse(named, "Models") },
})
const open = createRoute({
  method: "get",
  path: "/api/ps",
  summary: "The models that are open (Ollama)",
  responses: { 200: jsonResponse(named, "Models") },
})
const shown = z.object({
  capabilities: z.array(z.string()),
  details: z.object({ family: z.string(), format: z.string() }),
  model_info: z.record(z.string(), z.union([z.string(), z.number(), z.null()])),
})
const show = createRoute({
  method: "post",
  path: "/api/show",
  summary: "What a model is (Ollama)",
  request: { body: jsonBody(z.object({ model: z.string() }).openapi("OllamaShowRequest")) },
  responses: { 200: jsonResponse(shown, "The model") },
})

export const ollama: Protocol = {
  name: "Ollama",
  owns: (path) => path.startsWith("/api/"),
  isUntyped: true,
  register,
  errorBody: ({ message }) => ({ error: message }),
}

function register(app: ServeApp, context: ServeContext): void {
  app.openapi(embedRoute, async (c) => c.json(await embed(c.req.valid("json"), context, c.get("signal")), 200))
  app.openapi(versionRoute, (c) => c.json({ version: version() }, 200))
  app.openapi(tags, (c) => c.json(namesOf(context.models.names), 200))
  app.openapi(open, (c) => c.json(namesOf(context.models.open().keys()), 200))
  app.openapi(show, async (c) => c.json(await describe(c.req.valid("json").model, context), 200))
  app.openapi(earlierRoute, async (c) => {
    const { model, prompt } = c.req.valid("json")
    const { embeddings } = await embed({ model, input: prompt }, context, c.get("signal"))
    return c.json({ embedding: embeddings[0]! }, 200)
  })
}

function namesOf(names: Iterable<string>): z.infer<typeof named> {
  return { models: [...names].map((name) => ({ name, model: name })) }
}

function describe(model: string, { models }: ServeContext): Promise<z.infer<typeof shown>> {
  return models.use(servedName(model, models.names), async ({ model: { embedDim, contextLength } }) => ({
    capabilities: ["embedding", "vision"],
    details: { family: "clip", format: "onnx" },
    model_info: {
      "general.architecture": "clip",
      ...{ "clip.embedding_length": embedDim, "clip.context_length": contextLength },
    },
  }))
}

type Request = z.infer<typeof request>

async function embed(given: Request, context: ServeContext, signal: AbortSignal): Promise<z.infer<typeof response>> {
  const { model, dimensions, truncate = true } = given
  const began = performance.now()
  const contents = await contentsOf(given, context, signal)
  const opened = performance.now()
  return context.models.use(servedName(model, context.models.names), async (engine) => {
    const loaded = performance.now()
    requireOwnDimension(dimensions, engine.model.embedDim, "dimensions")
    const { total, longest } = await tokensOf(contents, engine.model)
    if (!truncate) requireWhole(longest, engine.model, "input")
    const vectors = await encodeContents(engine, contents, askingOf(contents.length, signal))
    return {
      ...{ model, embeddings: vectors.map((vector) => [...vector]) },
      total_duration: nanoseconds(performance.now() - began),
      load_duration: nanoseconds(loaded - opened),
      prompt_eval_count: total,
    }
  })
}

function contentsOf({ input = [], images = [] }: Request, context: ServeContext, signal: AbortSignal) {
  const texts = typeof input === "string" ? [input] : input
  requireParts(texts.length + images.length, context.limits, "input")
  if (texts.length + images.length === 0) throw new RequestError("invalid", "input is empty", "input")
  const picture = (value: string, field: string) => pictureContent(value, field, context, signal)
  return Promise.all([
    ...texts.map((text, i) => (isDataUri(text) ? picture(text, `input[${i}]`) : textContent(text))),
    ...images.map((image, i) => picture(image, `images[${i}]`)),
  ])
}

/** Ollama's clients add a tag. */
function servedName(model: string, names: readonly string[]): string {
  return names.includes(model) ? model : model.replace(/:latest$/, "")
}

function nanoseconds(milliseconds: number): number {
  return Math.round(milliseconds * 1e6)
}
