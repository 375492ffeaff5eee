/**
 * OpenAI's embeddings (`POST /v1/embeddings`, `GET /v1/models`), with pictures: `input` is a text, a data URI, `{ text }` or
 * `{ image }`, or a list of these (so are Jina's and NVIDIA's); `messages` with vLLM's content parts make one vector.
 * openai-node asks for base64, so that is the hot path: little-endian float32.
 */
import { createRoute, z } from "@hono/zod-openapi"
import { type Content, encodeContents, isDataUri } from "../http/content.ts"
import type { Protocol, ServeApp, ServeContext } from "../http/context.ts"
import { type ErrorKind, RequestError } from "../http/errors.ts"
import { askingOf, jsonBody, jsonResponse, listOf, requireParts } from "../http/requests.ts"
import {
  inType,
  meanOf,
  pictureContent,
  requireOwnDimension,
  requireWhole,
  textContent,
  tokensOf,
  type VectorType,
  vectorTypes,
} from "./shared.ts"

const picture = z.string().min(1).describe("A data URI, base64, or an address where the server allows them")
const part = z.union(
  [
    z.string().describe("A text, or a picture as a data URI"),
    z.object({ text: z.string() }),
    z.object({ image: picture }),
  ],
  { error: 'a text, a data URI, {"text": ...} or {"image": ...}' },
)
const tokens = z.union([z.array(z.int()).min(1), z.array(z.array(z.int()).min(1)).min(1)])
const messagePart = z.discriminatedUnion("type", [
  z.object({ type: z.enum(["text", "input_text"]), text: z.string() }),
  z.object({ type: z.literal("image_url"), image_url: z.union([picture, z.object({ url: picture })]) }),
  z.object({ type: z.literal("input_image"), image_url: picture }),
])
const message = z.object({ role: z.string(), content: z.union([z.string(), listOf(messagePart)]) })

const request = z
  .object({
    model: z.string().nullish().describe("As /v1/models has it; absent: the server's first model"),
    input: z
      .union([part, listOf(part), tokens], {
        error: 'a text, a data URI, {"text": ...}, {"image": ...}, or a list of these',
      })
      .nullish(),
    messages: z.array(message).min(1).nullish().describe("One vector: of a text, of a picture, or of their mean"),
    encoding_format: z.enum(["float", "base64"]).nullish().describe("Default: float"),
    embedding_type: z
      .enum(vectorTypes)
      .nullish()
      .describe("Jina's and NVIDIA's name for the type of a vector's values"),
    truncate: z
      .enum(["NONE", "END"])
      .nullish()
      .describe("NVIDIA's: a text longer than the model's context loses its end; with NONE it is refused"),
    modality: z.enum(["text", "image"]).nullish().describe("image: plain texts of input are pictures"),
    dimensions: z.int().positive().nullish().describe("The model's own number, or absent"),
  })
  .openapi("EmbeddingRequest")

const embedding = z
  .union([z.array(z.number()), z.string()])
  .describe("A unit vector, its float32 in base64, or another type of it")
const response = z
  .object({
    object: z.literal("list"),
    data: z.array(z.object({ object: z.literal("embedding"), index: z.int(), embedding })),
    model: z.string(),
    usage: z.object({ prompt_tokens: z.int(), total_tokens: z.int() }),
  })
  .openapi("EmbeddingResponse")

const model = z.object({
  id: z.string(),
  object: z.literal("model"),
  created: z.int(),
  owned_by: z.string(),
})

const embeddings = createRoute({
  method: "post",
  path: "/v1/embeddings",
  summary: "Unit vectors of texts and pictures (OpenAI, Jina, NVIDIA, vLLM)",
  request: { body: jsonBody(request) },
  responses: { 200: jsonResponse(response, "Vectors, in the order of the input") },
})
const models = createRoute({
  method: "get",
  path: "/v1/models",
  summary: "The models that are served",
  responses: { 200: jsonResponse(z.object({ object: z.literal("list"), data: z.array(model) }), "Models") },
})

const retrieval = createRoute({
  method: "get",
  path: "/v1/models/{id}",
  summary: "A model that is served",
  request: { params: z.object({ id: z.string() }) },
  responses: { 200: jsonResponse(model, "The model") },
})

export const openai: Protocol = {
  name: "OpenAI",
  owns: (path) => path === "/v1/embeddings" || path === "/v1/models" || path.startsWith("/v1/models/"),
  content: "input",
  register,
  errorBody: ({ kind, message, parameter }) => ({
    error: { message, type: types[kind], param: parameter, code: codeOf(kind, parameter) },
  }),
}

/** Clients tell a wrong model from a wrong path by it. */
function codeOf(kind: ErrorKind, parameter: string | null): string | null {
  if (kind !== "notFound") return null
  return parameter === "model" ? "model_not_found" : "not_found"
}

const types: Record<ErrorKind, string> = {
  ...{ invalid: "invalid_request_error", notFound: "invalid_request_error", unsupported: "invalid_request_error" },
  ...{ mediaType: "invalid_request_error", gone: "invalid_request_error", method: "invalid_request_error" },
  ...{ slow: "invalid_request_error", headers: "invalid_request_error" },
  ...{ precondition: "invalid_request_error", range: "invalid_request_error" },
  ...{
    tooLarge: "invalid_request_error",
    unauthorized: "authentication_error",
    forbidden: "permission_error",
    busy: "rate_limit_error",
  },
  ...{ internal: "server_error", unavailable: "server_error", timeout: "server_error" },
}

function register(app: ServeApp, context: ServeContext): void {
  app.openapi(embeddings, async (c) => c.json(await embed(c.req.valid("json"), context, c.get("signal")), 200))
  app.openapi(models, (c) => {
    return c.json({ object: "list" as const, data: context.models.names.map(described) }, 200)
  })
  app.openapi(retrieval, (c) => {
    const { id } = c.req.valid("param")
    context.models.requireName(id)
    return c.json(described(id), 200)
  })
}

function described(id: string): z.infer<typeof model> {
  return { id, object: "model", created: 0, owned_by: "mobileclip" }
}

type Request = z.infer<typeof request>

async function embed(given: Request, context: ServeContext, signal: AbortSignal): Promise<z.infer<typeof response>> {
  const contents = await contentsOf(given, context, signal)
  return context.models.use(given.model ?? undefined, async (engine, model) => {
    const { embedDim } = engine.model
    requireOwnDimension(given.dimensions, embedDim, "dimensions")
    const { total, longest } = await tokensOf(contents, engine.model)
    if (given.truncate === "NONE") requireWhole(longest, engine.model, "input")
    const vectors = await encodeContents(engine, contents, askingOf(contents.length, signal))
    const rows = given.messages ? [meanOf(vectors, embedDim)] : vectors
    const data = rows.map((row, index) => ({
      ...{ object: "embedding" as const, index },
      embedding: inType(row, typeOf(given)),
    }))
    return { object: "list", data, model, usage: { prompt_tokens: total, total_tokens: total } }
  })
}

/** openai-node asks for base64 by itself, also where its user asks for another type. */
function typeOf({ encoding_format, embedding_type }: Request): VectorType {
  return embedding_type ?? encoding_format ?? "float"
}

/** In the order of the input; those of messages make one vector together. */
function contentsOf(
  { input, messages, modality }: Request,
  context: ServeContext,
  signal: AbortSignal,
): Promise<Content[]> {
  const picture = (value: string, field: string) => pictureContent(value, field, context, signal)
  if ((input == null) === (messages == null))
    throw new RequestError("invalid", "either input or messages is expected", "input")
  if (messages) return contentsOfMessages(messages, context, picture)
  const list = Array.isArray(input) ? input : [input!]
  if (!isListOfParts(list)) throw tokenIds()
  if (list.length === 0) throw new RequestError("invalid", "input is an empty list", "input")
  requireParts(list.length, context.limits, "input")
  const contents = list.map((each, i) => {
    const field = Array.isArray(input) ? `input[${i}]` : "input"
    if (typeof each === "object") return "image" in each ? picture(each.image, field) : textContent(each.text)
    const isPicture = modality === "image" || (modality !== "text" && isDataUri(each))
    return isPicture ? picture(each, field) : textContent(each)
  })
  return Promise.all(contents)
}

type Part = z.infer<typeof part>

function isListOfParts(list: readonly (Part | number | number[])[]): list is Part[] {
  return !list.some((each) => typeof each === "number" || Array.isArray(each))
}

async function contentsOfMessages(
  messages: readonly z.infer<typeof message>[],
  { limits }: ServeContext,
  picture: (url: string, field: string) => Promise<Content>,
): Promise<Content[]> {
  const parts = messages.flatMap(partsOfMessage)
  requireParts(parts.length, limits, "messages")
  if (parts.length === 0) throw new RequestError("invalid", "messages hold no text and no picture", "messages")
  return Promise.all(parts.map((each) => ("text" in each ? textContent(each.text) : picture(each.url, "messages"))))
}

/** A text that is empty stands beside a picture in vLLM's own examples. */
function partsOfMessage({ content }: z.infer<typeof message>): ({ text: string } | { url: string })[] {
  if (typeof content === "string") return [{ text: content }]
  const parts = content.map((part) => {
    if ("text" in part) return { text: part.text }
    return { url: typeof part.image_url === "string" ? part.image_url : part.image_url.url }
  })
  return parts.filter((part) => "url" in part || part.text.trim() !== "")
}

function tokenIds(): RequestError {
  const what = "input holds token ids, which belong to another model's tokenizer: send the texts themselves"
  return new RequestError(
    "invalid",
    `${what} (LangChain: checkEmbeddingCtxLength or check_embedding_ctx_length false)`,
    "input",
  )
}
