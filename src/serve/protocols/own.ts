/** Our own interface: labels and captions of pictures, and whether the server is well. */
import { createRoute, z } from "@hono/zod-openapi"
import { concatenate } from "../../core/arrays/concatenate.ts"
import { UserError } from "../../core/errors.ts"
import { defaultTemplates, labelVectors } from "../../core/text/prompts.ts"
import { rankLabels } from "../../run/labels/rank-labels.ts"
import type { Asking, ModelEngine } from "../engine/served-model.ts"
import type { Protocol, ServeApp, ServeContext } from "../http/context.ts"
import { RequestError } from "../http/errors.ts"
import { askingOf, jsonBody, jsonResponse, requireParts } from "../http/requests.ts"
import { pictureContent } from "./shared.ts"

const images = z.array(z.string()).min(1).describe("Data URIs, base64, or addresses where the server allows them")
const model = z.string().optional().describe("As /v1/models has it; absent: the server's first model")

const classifyRequest = z
  .object({
    model,
    images,
    labels: z
      .array(z.string().min(1).max(1000))
      .min(1)
      .describe('In a few words each: "cat", "a receipt", "something else"'),
    templates: z.array(z.string().max(1000)).min(1).optional().describe("What a label is put into, in place of {}"),
    top: z.int().positive().optional().describe("Labels of each picture, the best ones; absent: all"),
  })
  .openapi("ClassifyRequest")
const labelScore = z.object({
  label: z.string(),
  score: z.number().describe("Probability among these labels: one always fits, even where none does"),
  cosine: z.number().describe("This label's alone, in the same scale for all pictures"),
})
const classifyResponse = z
  .object({ model: z.string(), results: z.array(z.array(labelScore)) })
  .openapi("ClassifyResponse")

const captionRequest = z
  .object({ model, images, per_image: z.int().min(1).max(16).default(1) })
  .openapi("CaptionRequest")
const captionResponse = z
  .object({ model: z.string(), captions: z.array(z.array(z.string())) })
  .openapi("CaptionResponse")

const classifyRoute = createRoute({
  method: "post",
  path: "/v1/classify",
  summary: "Labels of pictures, the best first",
  request: { body: jsonBody(classifyRequest) },
  responses: { 200: jsonResponse(classifyResponse, "For each picture its labels") },
})
const captionRoute = createRoute({
  method: "post",
  path: "/v1/caption",
  summary: "Captions of pictures, by a model that writes them",
  request: { body: jsonBody(captionRequest) },
  responses: { 200: jsonResponse(captionResponse, "For each picture its captions") },
})
const state = z.object({ status: z.enum(["ok", "unavailable"]), models: z.array(z.string()) })
const health = createRoute({
  method: "get",
  path: "/health",
  summary: "Whether the server runs",
  responses: { 200: jsonResponse(z.object({ status: z.literal("ok") }), "It runs") },
})
const ready = createRoute({
  method: "get",
  path: "/ready",
  summary:
    "Whether requests can be answered, and which models are open; one that was put away is opened when it is asked for",
  responses: { 200: jsonResponse(state, "They can"), 503: jsonResponse(state, "They cannot") },
})

export const own: Protocol = {
  name: "mobileclip",
  owns: (path) => ["/v1/classify", "/v1/caption", "/health", "/ready"].includes(path),
  content: "images",
  register,
  errorBody: ({ kind, message, parameter }) => ({ error: { kind, message, parameter } }),
}

function register(app: ServeApp, context: ServeContext): void {
  app.openapi(classifyRoute, async (c) => c.json(await classify(c.req.valid("json"), context, c.get("signal")), 200))
  app.openapi(captionRoute, async (c) => c.json(await caption(c.req.valid("json"), context, c.get("signal")), 200))
  app.openapi(health, (c) => c.json({ status: "ok" as const }, 200))
  app.openapi(ready, (c) => {
    const models = [...context.models.open().keys()]
    return context.models.checkReady()
      ? c.json({ status: "ok" as const, models }, 200)
      : c.json({ status: "unavailable" as const, models }, 503)
  })
}

async function classify(
  { model, images, labels, templates = [...defaultTemplates], top }: z.infer<typeof classifyRequest>,
  context: ServeContext,
  signal: AbortSignal,
): Promise<z.infer<typeof classifyResponse>> {
  const texts = labels.length * templates.length
  requireParts(images.length + texts, context.limits, "the request")
  requireFewScores(images.length * Math.min(labels.length, top ?? labels.length))
  const pictures = await bytesOf(images, context, signal)
  return context.models.use(model, async (engine, name) => {
    const [vectors, rows] = await Promise.all([
      labelRows(engine, labels, templates, askingOf(texts, signal)),
      engine.encodePictures(pictures, askingOf(images.length, signal)),
    ])
    const { embedDim, logitScale } = engine.model
    const results = rankLabels(concatenate(rows), { labels, vectors, embedDim, logitScale }, top)
    return { model: name, results }
  })
}

/** Each label is written once for each picture. */
const mostScores = 50_000

function requireFewScores(count: number): void {
  if (count <= mostScores) return
  const what = `the answer would have ${count} scores, and may have ${mostScores}: ask for fewer with top, or of fewer pictures`
  throw new RequestError("tooLarge", what, "top")
}

async function caption(
  { model, images, per_image: perImage }: z.infer<typeof captionRequest>,
  context: ServeContext,
  signal: AbortSignal,
): Promise<z.infer<typeof captionResponse>> {
  requireParts(images.length, context.limits, "images")
  const pictures = await bytesOf(images, context, signal)
  return context.models.use(model, async (engine, name) => {
    const asking = askingOf(images.length, signal)
    const captions = await Promise.all(pictures.map((bytes) => engine.caption(bytes, perImage, asking)))
    return { model: name, captions: captions.map((each) => [...each]) }
  })
}

async function bytesOf(images: readonly string[], context: ServeContext, signal: AbortSignal): Promise<Uint8Array[]> {
  const contents = await Promise.all(images.map((image, i) => pictureContent(image, `images[${i}]`, context, signal)))
  return contents.flatMap((content) => (content.kind === "picture" ? [content.bytes] : []))
}

/** Unit vectors [labels, embedDim]; what was asked before is in the engine's cache. */
async function labelRows(
  engine: ModelEngine,
  labels: readonly string[],
  templates: readonly string[],
  asking: Asking,
): Promise<Float32Array> {
  const encodeTexts = async (texts: readonly string[]) => concatenate(await engine.encodeTexts(texts, asking))
  try {
    return await labelVectors({ embedDim: engine.model.embedDim, encodeTexts }, labels, templates)
  } catch (error) {
    // A template without a place for the label.
    if (error instanceof UserError && error.constructor === UserError)
      throw new RequestError("invalid", `${error.message}; ${error.hint}`, "templates")
    throw error
  }
}
