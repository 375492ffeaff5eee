/**
 * Weaviate's inference container for `multi2vec-clip`: `POST /vectorize`, `GET /meta`, `GET /.well-known/live` and `/ready`.
 * Source: weaviate/multi2vec-clip-inference `app.py`, whose vectors are of length 1 too.
 */
import { createRoute, z } from "@hono/zod-openapi"
import { encodeContents } from "../http/content.ts"
import type { Protocol, ServeApp, ServeContext } from "../http/context.ts"
import { askingOf, jsonBody, jsonResponse, requireParts } from "../http/requests.ts"
import { pictureContent, textContent } from "./shared.ts"

const request = z
  .object({
    texts: z.array(z.string()).nullish(),
    images: z.array(z.string()).nullish().describe("Base64 of pictures' files"),
  })
  .openapi("WeaviateVectorizeRequest")
const vectors = z.array(z.array(z.number())).nullable()
const response = z.object({ textVectors: vectors, imageVectors: vectors }).openapi("WeaviateVectorizeResponse")

const vectorizeRoute = createRoute({
  method: "post",
  path: "/vectorize",
  summary: "Unit vectors of texts and pictures (Weaviate's multi2vec-clip)",
  request: { body: jsonBody(request) },
  responses: { 200: jsonResponse(response, "Vectors") },
})
const meta = createRoute({
  method: "get",
  path: "/meta",
  summary: "The model that Weaviate gets vectors of",
  responses: { 200: jsonResponse(z.object({}).loose(), "The model") },
})

const alive = ["/.well-known/live", "/.well-known/ready"].map((path) =>
  createRoute({
    ...{ method: "get", path, summary: "What Weaviate asks before its first request" },
    responses: { 204: { description: "It runs" } },
  }),
)

export const weaviate: Protocol = {
  name: "Weaviate",
  owns: (path) => path === "/vectorize" || path === "/meta" || alive.some((route) => route.path === path),
  register,
  errorBody: ({ message }) => ({ error: message }),
}

function register(app: ServeApp, context: ServeContext): void {
  app.openapi(vectorizeRoute, async (c) => c.json(await vectorize(c.req.valid("json"), context, c.get("signal")), 200))
  app.openapi(meta, (c) =>
    context.models.use(undefined, async ({ model: { name, embedDim, preprocessing } }) =>
      c.json({ model_type: "clip", name, projection_dim: embedDim, image_size: preprocessing.size }, 200),
    ),
  )
  for (const route of alive) app.openapi(route, (c) => c.body(null, 204))
}

async function vectorize(
  { texts, images }: z.infer<typeof request>,
  context: ServeContext,
  signal: AbortSignal,
): Promise<z.infer<typeof response>> {
  requireParts((texts?.length ?? 0) + (images?.length ?? 0), context.limits, "the request")
  const contents = await Promise.all([
    ...(texts ?? []).map(textContent),
    ...(images ?? []).map((image, i) => pictureContent(image, `images[${i}]`, context, signal)),
  ])
  return context.models.use(undefined, async (engine) => {
    const rows = (await encodeContents(engine, contents, askingOf(contents.length, signal))).map((row) => [...row])
    const textVectors = texts ? rows.slice(0, texts.length) : null
    return { textVectors, imageVectors: images ? rows.slice(texts?.length ?? 0) : null }
  })
}
