/** Cohere's `POST /v2/embed`: texts, images, or inputs that mix them, as vectors of several types at once. */
import { randomUUID } from "node:crypto"
import { createRoute, z } from "@hono/zod-openapi"
import { type Content, encodeContents } from "../http/content.ts"
import type { Protocol, ServeApp, ServeContext } from "../http/context.ts"
import { RequestError } from "../http/errors.ts"
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

const contentPart = z.discriminatedUnion("type", [
  z.object({ type: z.literal("text"), text: z.string() }),
  z.object({ type: z.literal("image_url"), image_url: z.object({ url: z.string() }) }),
])

const request = z
  .object({
    model: z.string().optional(),
    texts: z.array(z.string()).optional(),
    images: z.array(z.string()).optional().describe("Data URIs"),
    inputs: listOf(z.object({ content: listOf(contentPart) }))
      .optional()
      .describe("One vector each: of a text, of a picture, or of their mean"),
    input_type: z
      .string()
      .optional()
      .describe("Accepted and not needed: a CLIP has one space for queries and documents"),
    embedding_types: z.array(z.enum(vectorTypes)).min(1).max(vectorTypes.length).default(["float"]),
    output_dimension: z.int().positive().optional().describe("The model's own number, or absent"),
    truncate: z
      .enum(["NONE", "END"])
      .default("END")
      .describe("A text longer than the model's context loses its end; with NONE it is refused"),
  })
  .openapi("CohereEmbedRequest")

const numbers = z.array(z.array(z.number())).optional()
const response = z
  .object({
    id: z.string(),
    embeddings: z.object({
      ...{ float: numbers, int8: numbers, uint8: numbers, binary: numbers, ubinary: numbers },
      base64: z.array(z.string()).optional(),
    }),
    texts: z.array(z.string()).optional(),
    meta: z.object({
      api_version: z.object({ version: z.string() }),
      billed_units: z.object({ input_tokens: z.int(), images: z.int() }),
    }),
    response_type: z.literal("embeddings_by_type"),
  })
  .openapi("CohereEmbedResponse")

/** What cohere-ai's older client asks. */
const earlier = "/v1/embed"

const route = createRoute({
  method: "post",
  path: "/v2/embed",
  summary: "Unit vectors of texts and pictures, in several types (Cohere)",
  request: { body: jsonBody(request) },
  responses: { 200: jsonResponse(response, "Vectors by type, in the order of the input") },
})

export const cohere: Protocol = {
  name: "Cohere",
  owns: (path) => path === "/v2/embed" || path === earlier,
  register,
  errorBody: ({ message }) => ({ message }),
}

function register(app: ServeApp, context: ServeContext): void {
  // Not described: nothing is to be made of it.
  app.post(earlier, () => {
    throw new RequestError("notFound", "Cohere's v1 is not served: use /v2/embed (CohereClientV2)")
  })
  app.openapi(route, async (c) => c.json(await embed(c.req.valid("json"), context, c.get("signal")), 200))
}

type Request = z.infer<typeof request>

async function embed(given: Request, context: ServeContext, signal: AbortSignal): Promise<z.infer<typeof response>> {
  const groups = await groupsOf(given, context, signal)
  const contents = groups.flat()
  return context.models.use(given.model, async (engine) => {
    const { embedDim } = engine.model
    requireOwnDimension(given.output_dimension, embedDim, "output_dimension")
    const { total, longest } = await tokensOf(contents, engine.model)
    if (given.truncate === "NONE") requireWhole(longest, engine.model, "texts")
    const vectors = (await encodeContents(engine, contents, askingOf(contents.length, signal))).values()
    const vectorsOf = (group: readonly Content[]) => group.map(() => vectors.next().value!)
    const rows = groups.map((group) => meanOf(vectorsOf(group), embedDim))
    const images = contents.filter(({ kind }) => kind === "picture").length
    return {
      id: randomUUID(),
      embeddings: byType(rows, given.embedding_types),
      ...(given.texts && { texts: given.texts }),
      meta: { api_version: { version: "2" }, billed_units: { input_tokens: total, images } },
      response_type: "embeddings_by_type",
    }
  })
}

/** A group for each vector. */
async function groupsOf(
  { texts, images, inputs }: Request,
  context: ServeContext,
  signal: AbortSignal,
): Promise<Content[][]> {
  const given = [texts, images, inputs].filter((list) => list !== undefined && list.length > 0)
  if (given.length !== 1) throw new RequestError("invalid", "one of texts, images and inputs is expected", "texts")
  const count = inputs?.reduce((sum, { content }) => sum + content.length, 0) ?? given[0]!.length
  requireParts(count, context.limits, "the request")
  const picture = (url: string, field: string) => pictureContent(url, field, context, signal)
  if (texts?.length) return texts.map((text) => [textContent(text)])
  if (images?.length) return Promise.all(images.map(async (url, i) => [await picture(url, `images[${i}]`)]))
  return Promise.all(
    inputs!.map(({ content }, i) =>
      Promise.all(
        content.map((part) =>
          part.type === "text" ? textContent(part.text) : picture(part.image_url.url, `inputs[${i}]`),
        ),
      ),
    ),
  )
}

function byType(rows: readonly Float32Array[], types: readonly VectorType[]) {
  return Object.fromEntries([...new Set(types)].map((type) => [type, rows.map((row) => inType(row, type))])) as z.infer<
    typeof response
  >["embeddings"]
}
