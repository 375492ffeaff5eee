/**
 * A server of the Model Context Protocol that searches one index: what an assistant may call. It only reads, and pictures that
 * are not in the index only where that is allowed.
 */
import { isAbsolute, resolve } from "node:path"
import { inspect } from "node:util"
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import type { CallToolResult } from "@modelcontextprotocol/sdk/types.js"
import type { z } from "zod"
import { messageOf, oneLine, quoted, UserError } from "../core/errors.ts"
import { thumbnail } from "../host/image/thumbnail.ts"
import { version } from "../host/version.ts"
import { parseFilters } from "../search/query/parse/parse-filters.ts"
import { parseQuery, type QueryTerm, queryText } from "../search/query/parse/parse-query.ts"
import type { SearchHit } from "../search/query/search-page.ts"
import { type CheckedPage, checkFiles, firstSmall } from "../search/show/hit-files.ts"
import {
  classifyInput,
  classifyOutput,
  describeOutput,
  filterNames,
  pageOutput,
  searchInput,
  similarInput,
} from "./schemas.ts"
import type { SearchedIndex } from "./searched-index.ts"

export interface ServerOptions {
  /** Whether pictures outside of the index may be read; default: false. */
  readonly allowFiles?: boolean
  /** Gets a line about what goes wrong on our side. */
  readonly onError?: (line: string) => void
}

/** Nothing is changed, and nothing but the index and its pictures is looked at. */
const annotations = { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false } as const

const instructions = `Searches a collection of pictures by what is to be seen in them. Hits that are no better than chance have the verdict
"weak": where there are only such, say that nothing matches. Hits without a verdict are not judged. Describe what is in the
picture ("a dog on a beach"), not a question.`

type Filtering = Omit<z.infer<typeof similarInput>, "path">

interface Extra {
  readonly signal: AbortSignal
}

export function createServer(index: SearchedIndex, { allowFiles = false, onError }: ServerOptions = {}): McpServer {
  const server = new McpServer({ name: "mobileclip", version: version() }, { instructions })
  server.server.onerror = (error) => onError?.(`a message of the client: ${oneLine(messageOf(error), 300)}`)
  const answering = <Arguments>(work: (given: Arguments, extra: Extra) => Promise<CallToolResult>) => {
    return (given: Arguments, extra: Extra) => work(given, extra).catch((error) => errorResult(error, onError))
  }
  const allowed = (path: string) => requireAllowed(path, index, allowFiles)
  server.registerTool(
    "search",
    {
      title: "Search pictures",
      description:
        "Finds pictures by what is to be seen in them, by another picture, or by both, the best first; by filters alone, the newest first.",
      ...{ inputSchema: searchInput, outputSchema: pageOutput, annotations },
    },
    answering(async ({ query, image, minus = [], ...filtering }: z.infer<typeof searchInput>, extra: Extra) => {
      const isList = query === undefined && image === undefined && minus.length === 0
      if (isList && filterNames.some((name) => filtering[name] !== undefined))
        return pageResult(index, [], filtering, extra)
      const { terms } = parseQuery({
        words: query === undefined ? [] : [`text:${query}`],
        plus: image === undefined ? [] : [`image:${allowed(image)}`],
        minus: minus.map((text) => `text:${text}`),
      })
      return pageResult(index, terms, filtering, extra)
    }),
  )
  server.registerTool(
    "similar",
    {
      title: "Pictures like this one",
      description: "Finds the pictures that are most like one of them.",
      ...{ inputSchema: similarInput, outputSchema: pageOutput, annotations },
    },
    answering(async ({ path, ...filtering }: z.infer<typeof similarInput>, extra: Extra) =>
      pageResult(index, [{ kind: "like", weight: 1, path: allowed(path) }], filtering, extra),
    ),
  )
  server.registerTool(
    "classify",
    {
      title: "Label pictures",
      description: "Says which of your labels fit pictures best.",
      ...{ inputSchema: classifyInput, outputSchema: classifyOutput, annotations },
    },
    answering(async ({ paths, labels, top }: z.infer<typeof classifyInput>, { signal }: Extra) =>
      result({ pictures: await index.classify(paths.map(allowed), labels, { top, signal }) }),
    ),
  )
  server.registerTool(
    "describe_index",
    {
      title: "Describe the index",
      description: "Says how many pictures there are, of which folders, times and cameras, and what could not be read.",
      ...{ outputSchema: describeOutput, annotations },
    },
    async () => index.describe().then(result, (error) => errorResult(error, onError)),
  )
  return server
}

// ------------------------------------------------------------------------------------------------------ work

async function pageResult(
  index: SearchedIndex,
  terms: readonly QueryTerm[],
  { limit, cursor, thumbnails, folders, names, cameras, ...words }: Filtering,
  { signal }: Extra,
): Promise<CallToolResult> {
  const given = { ...words, in: folders?.map(requireAbsolute), name: names, camera: cameras }
  const filters = parseFilters(withoutUndefined(given))
  const page = checkFiles(await index.search({ terms, filters, limit, cursor, signal }))
  const found = result({ query: terms.length > 0 ? queryText(terms) : "the newest first", ...withoutTimes(page) })
  return { ...found, content: [...found.content, ...(await pictures(page.hits.slice(0, thumbnails), index.folder))] }
}

function withoutTimes({ hits, elapsedMs, leftOut, ...page }: CheckedPage) {
  // JSON has no NaN.
  const numberOrNull = (value: number) => (Number.isNaN(value) ? null : value)
  return {
    ...page,
    hits: hits.map(({ position, score, cosine, ...hit }) => ({
      ...{ score: numberOrNull(score), cosine: numberOrNull(cosine) },
      ...hit,
    })),
  }
}

function withoutUndefined<T extends object>(values: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const given = Object.entries(values).filter(([, value]) => value !== undefined)
  return Object.fromEntries(given) as { [K in keyof T]: Exclude<T[K], undefined> }
}

/** The paths that a model names come from results, which are absolute. */
function requireAbsolute(path: string): string {
  if (isAbsolute(path)) return path
  throw new UserError(`${quoted(path)} is not an absolute path`, "give paths as results have them")
}

function requireAllowed(path: string, index: SearchedIndex, allowFiles: boolean): string {
  const file = resolve(requireAbsolute(path))
  if (allowFiles || index.hasFile(file)) return file
  throw new UserError(
    `${quoted(file)} is not in the index, and other files are not read`,
    "give a path from a result; a server that is started with --allow-files reads other pictures too",
  )
}

/** The longer one of a thumbnail, in pixels. */
const side = 256

/** A picture for each hit, after a line that names it. */
async function pictures(hits: readonly SearchHit[], folder: string | undefined): Promise<CallToolResult["content"]> {
  const blocks: CallToolResult["content"] = []
  for (const hit of hits) {
    const { rank, paths } = hit
    const found = await firstSmall(hit, folder, (path) => thumbnail(path, { side }))
    if ("value" in found) {
      const data = Buffer.from(found.value).toString("base64")
      blocks.push({ type: "text", text: `${rank}: ${found.path}` }, { type: "image", data, mimeType: "image/jpeg" })
    } else blocks.push({ type: "text", text: `${rank}: ${paths[0]} cannot be read: ${found.reason}` })
  }
  return blocks
}

// ------------------------------------------------------------------------------------------------------ answers

/** The values, and the same as text for clients that only read texts. */
function result(values: object): CallToolResult {
  return {
    structuredContent: values as Record<string, unknown>,
    content: [{ type: "text", text: JSON.stringify(values) }],
  }
}

/** What a user can act on goes to the model with what to do; a fault of ours is told in a line, and its stack elsewhere. */
function errorResult(error: unknown, onError: ServerOptions["onError"]): CallToolResult {
  const isKnown = error instanceof UserError
  if (!isKnown) onError?.(inspect(error))
  const text = isKnown ? [error.message, error.hint].filter(Boolean).join("\n") : "an unexpected error in mobileclip"
  return { isError: true, content: [{ type: "text", text }] }
}
