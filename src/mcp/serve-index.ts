/** `mobileclip mcp`: an index for an assistant, until it goes. */
import type { SearchOptions } from "../search/search-index.ts"
import { openIndex } from "./open-index.ts"
import { serveStdio } from "./serve-stdio.ts"
import { createServer, type ServerOptions } from "./server.ts"

export interface ServeOptions extends SearchOptions, ServerOptions {
  readonly signal?: AbortSignal
}

/** Throws UserError where there is no index, or it cannot be read; later faults are answers of the tools. */
export async function serveIndex(folder: string, { signal, ...options }: ServeOptions): Promise<void> {
  await using index = await openIndex(folder, options)
  await serveStdio(createServer(index, options), signal)
}
