/** What the tools take and give, as zod's schemas, which the protocol carries as JSON Schema. An argument of another name is refused. */
import { z } from "zod"
import { filterFields, searchText as text } from "../search/query/parse/filter-fields.ts"

const mostHits = 100
const mostThumbnails = 20

const path = z.string().min(1).max(32_767).describe("Absolute path, as results have it")
const filters = {
  folders: z.array(path).max(100).optional().describe("Absolute paths: files below one of these folders"),
  ...filterFields,
}

export const filterNames = Object.keys(filters) as (keyof typeof filters)[]

const paging = {
  limit: z.int().min(1).max(mostHits).default(20).describe("Hits on a page"),
  cursor: z
    .string()
    .min(1)
    .max(20_000)
    .optional()
    .describe("The cursor of the page before, with the same query and filters"),
  thumbnails: z
    .int()
    .min(0)
    .max(mostThumbnails)
    .default(0)
    .describe("How many of the first hits come with a small picture, to look at"),
}

export const searchInput = z.strictObject({
  query: text.optional().describe('What is to be seen in the picture, in a few words: "a red car at night"'),
  image: path.optional().describe("Absolute path of a picture that is a part of the query"),
  minus: z
    .array(text)
    .max(20)
    .optional()
    .describe("Texts to lead away from: a model does not understand words such as not"),
  ...filters,
  ...paging,
})

export const similarInput = z.strictObject({
  path: path.describe("Absolute path of the picture that hits are to be like; it is left out itself"),
  ...filters,
  ...paging,
})

const hit = z.object({
  rank: z.int(),
  score: z.number().nullable().describe("What hits are ordered by; null: by time, where there are filters alone"),
  cosine: z.number().nullable(),
  z: z.number().nullable().describe("Standard deviations above what this query finds by chance; null: unknown"),
  verdict: z
    .enum(["match", "weak"])
    .nullable()
    .describe("weak: no better than chance; null: nothing says it, as for a query that is a picture"),
  words: z.object({ score: z.number(), matched: z.array(z.string()) }).nullable(),
  paths: z.array(z.string()).describe("All files with these bytes"),
  missing: z.array(z.string()).describe("Those of the files that are not there any more"),
  width: z.int(),
  height: z.int(),
  taken: z.string().nullable().describe("Local time of the camera"),
  camera: z.string().nullable(),
  caption: z.string().nullable(),
  latitude: z.number().nullable().describe("Degrees, north positive"),
  longitude: z.number().nullable().describe("Degrees, east positive"),
  hash: z.string().describe("SHA-256 of the file's bytes"),
})

export const pageOutput = z.object({
  query: z.string().describe("As it was understood"),
  hits: z.array(hit),
  matches: z
    .int()
    .nullable()
    .describe("How many hits of this page are matches, the others are weaker; null: nothing says it"),
  matchesBelow: z
    .int()
    .nullable()
    .describe("Where the first page has no match: how many are among the first 1,000 hits, lower down; null elsewhere"),
  cursor: z.string().nullable().describe("For the next page; null: there is none"),
  pictures: z.int().describe("All that the index has"),
  searched: z.int().describe("Those that were compared"),
  filtered: z.int().nullable().describe("Those that the filters left; null: there were none"),
  notes: z.array(z.string()),
})

export const classifyInput = z.strictObject({
  paths: z.array(path).min(1).max(100),
  labels: z.array(text).min(1).max(1000).describe('In a few words each: "cat", "a receipt", "something else"'),
  top: z.int().min(1).max(100).default(5).describe("Labels to give for each picture"),
})

export const classifyOutput = z.object({
  pictures: z.array(
    z.object({
      path: z.string(),
      labels: z.array(
        z.object({
          label: z.string(),
          score: z.number().describe("Probability among these labels: one always fits, even where none does"),
          cosine: z.number().describe("This label's alone, in the same scale for all pictures"),
        }),
      ),
      error: z.string().nullable().describe("Why the picture could not be read"),
    }),
  ),
})

const facets = z.array(z.object({ name: z.string(), pictures: z.int() })).describe("The most frequent first")

export const describeOutput = z.object({
  pictures: z.int().describe("With different bytes"),
  files: z.int(),
  model: z.string(),
  source: z.string().describe("Where the model was, or its name"),
  dim: z.int(),
  roots: z.array(z.string()).describe("Folders that were indexed"),
  taken: z.object({ first: z.string(), last: z.string() }).nullable(),
  cameras: facets,
  formats: facets,
  failures: z.object({
    count: z.int(),
    some: z.array(z.object({ path: z.string(), reason: z.string() })),
  }),
})
