/** The search of one's own pictures: pages of hits, thumbnails, and what the index has. Where no index is served, they say so. */
import { createRoute, z } from "@hono/zod-openapi"
import { filterFields, searchText as text } from "../../search/query/parse/filter-fields.ts"
import type { Protocol, ServeApp, ServeContext } from "../http/context.ts"
import { RequestError } from "../http/errors.ts"
import { jsonBody, jsonResponse, requireParts } from "../http/requests.ts"
import type { ServedIndex } from "../search/served-index.ts"
import { pictureContent } from "./shared.ts"

const mostHits = 100

const id = z.string().min(1).max(100)

const request = z
  .strictObject({
    query: text.optional().describe('What is to be seen in the picture, in a few words: "a red car at night"'),
    image: z
      .string()
      .min(1)
      .optional()
      .describe(
        "A picture that is a part of the query: a data URI, base64, or an address where the server allows them",
      ),
    like: id.optional().describe("The id of a picture that hits are to be like; it is left out itself"),
    minus: z.array(text).max(20).optional().describe("Texts to lead away from: a model does not understand not"),
    folders: z
      .array(text)
      .min(1)
      .max(100)
      .optional()
      .describe('Files below one of these folders, as results name them: "Photos/2023"'),
    ...filterFields,
    limit: z.int().min(1).max(mostHits).default(20).describe("Hits on a page"),
    cursor: z.string().min(1).max(50_000).nullish().describe("Of the page before, with the same query and filters"),
  })
  .openapi("SearchRequest")

const hit = z.object({
  id: z.string().describe("For like, and for the thumbnail; it stays while the index grows"),
  name: z.string().describe("The file below its folder: Photos/2023/beach.jpg"),
  score: z.number().describe("What hits are ordered by: the cosine, and what words of names and captions add"),
  cosine: z.number(),
  z: z.number().nullable().describe("Standard deviations above what this query finds by chance; null: unknown"),
  verdict: z.enum(["match", "weak"]).nullable().describe("weak: no better than chance; null: nothing says it"),
  words: z.object({ score: z.number(), matched: z.array(z.string()) }).nullable(),
  width: z.int(),
  height: z.int(),
  taken: z.string().nullable().describe("Local time of the camera"),
  caption: z.string().nullable(),
  thumbnail: z.string().describe("Its address on this server, with a key of an hour or two where a token is needed"),
})

const response = z
  .object({
    query: z.string().describe("As it was understood"),
    hits: z.array(hit),
    matches: z.int().nullable().describe("How many hits of this page are matches; null: nothing says it"),
    cursor: z.string().nullable().describe("For the next page, until the server is started again; null: there is none"),
    searched: z.int().describe("Pictures that were compared"),
    notes: z.array(z.string()),
  })
  .openapi("SearchResponse")

const facets = z.array(z.object({ name: z.string(), pictures: z.int() })).describe("The most frequent first")
const description = z
  .object({
    pictures: z.int().describe("With different bytes"),
    files: z.int(),
    model: z.string(),
    dim: z.int(),
    folders: z.array(z.string()),
    taken: z.object({ first: z.string(), last: z.string() }).nullable(),
    cameras: facets,
    formats: facets,
    failures: z.int().describe("Files that could not be read"),
  })
  .openapi("IndexDescription")

const searching = createRoute({
  method: "post",
  path: "/v1/search",
  summary: "Pictures of the server's index, by texts and pictures; the best first",
  request: { body: jsonBody(request) },
  responses: { 200: jsonResponse(response, "A page of hits") },
})
const file = z.string().openapi({ format: "binary" })
const thumbnail = createRoute({
  method: "get",
  path: "/v1/search/thumbnail/{id}",
  summary: "A small copy of a picture of the index",
  request: {
    params: z.object({ id }),
    query: z.object({
      side: z.coerce.number().int().min(16).max(1024).default(256).describe("The longer one, in pixels"),
      key: z.string().optional().describe("In the addresses that a search gives: instead of a token"),
    }),
  },
  responses: {
    200: { description: "A file", content: { "image/jpeg": { schema: file }, "image/webp": { schema: file } } },
    304: { description: "The client has it" },
  },
})
const describing = createRoute({
  method: "get",
  path: "/v1/search/index",
  summary: "What the server's index has",
  responses: { 200: jsonResponse(description, "Counts and names") },
})

export const search: Protocol = {
  name: "mobileclip",
  owns: (path) => path === "/v1/search" || path.startsWith("/v1/search/"),
  register,
  errorBody: ({ kind, message, parameter }) => ({ error: { kind, message, parameter } }),
}

function register(app: ServeApp, context: ServeContext): void {
  const hide = context.index === null
  app.openapi({ ...searching, hide }, async (c) => {
    const { image, cursor: from, ...asked } = c.req.valid("json")
    const signal = c.get("signal")
    requireParts((asked.minus?.length ?? 0) + 2, context.limits, "the request")
    const index = indexOf(context)
    const content = image === undefined ? null : await pictureContent(image, "image", context, signal)
    const bytes = content?.kind === "picture" ? content.bytes : undefined
    const wanted = { ...asked, image: bytes, cursor: from ?? undefined }
    const { hits, matches, cursor, searched, notes, query } = await index.search(wanted, signal)
    const found = hits.map(({ words, ...hit }) => ({
      ...hit,
      words: words && { score: words.score, matched: [...words.matched] },
      thumbnail: context.thumbnailKeys?.addressOf(hit.id) ?? `/v1/search/thumbnail/${hit.id}`,
    }))
    return c.json({ query, hits: found, matches, cursor, searched, notes: [...notes] }, 200)
  })
  app.openapi({ ...thumbnail, hide }, async (c) => {
    const { id } = c.req.valid("param")
    const { side } = c.req.valid("query")
    // An id is of a picture's bytes: what it shows never changes.
    const tag = `W/"${id}-${side}"`
    const isKnown = (c.req.header("if-none-match") ?? "").split(",").some((each) => each.trim() === tag)
    const found = await indexOf(context).thumbnail(id, side, isKnown, c.get("signal"))
    const headers = { "Cache-Control": "private, max-age=3600", ETag: tag }
    if (!found) return c.body(null, 304, headers)
    return c.body(new Uint8Array(found.bytes), 200, { ...headers, "Content-Type": found.type })
  })
  app.openapi({ ...describing, hide }, async (c) => {
    const { folders, cameras, formats, ...others } = await indexOf(context).describe(c.get("signal"))
    return c.json({ ...others, folders: [...folders], cameras: [...cameras], formats: [...formats] }, 200)
  })
}

function indexOf({ index }: ServeContext): ServedIndex {
  if (index) return index
  throw new RequestError("notFound", "this server has no index: it is started with --index DIR")
}
