/** `mobileclip serve`: a server from what a user says of it, until the signal stops it. */
import { once } from "node:events"
import { UserError } from "../core/errors.ts"
import { readLines } from "../host/files/path-list.ts"
import { usableProcessors } from "../host/processors.ts"
import { type PictureReading, readingDefaults } from "../pictures/reading.ts"
import { limitDefaults, serveDefaults } from "./defaults.ts"
import type { ModelsOptions } from "./engine/models.ts"
import type { AppOptions } from "./http/app.ts"
import type { Limits } from "./http/context.ts"
import { fetchDefaults, pictureFetcher } from "./safety/fetch-picture.ts"
import { isLoopback } from "./safety/foreign-pages.ts"
import { parseTokens } from "./safety/tokens.ts"
import { servedModels } from "./served-names.ts"
import { EmbeddingServer } from "./server.ts"

export interface RunServerOptions
  extends Partial<PictureReading>,
    Pick<AppOptions, "corsOrigins" | "onRequest" | "onFault"> {
  readonly host?: string | undefined
  readonly port?: number | undefined
  /** A model's; default: one for each processor. */
  readonly threads?: number | undefined
  /** The folder of an index that is searched. */
  readonly index?: string | undefined
  /** A file with a token in each line, as `parseTokens` reads it. */
  readonly tokenFile?: string | undefined
  /** Whether pictures are fetched from addresses of the public internet; default: no. */
  readonly allowUrls?: boolean | undefined
  /** Whether the page for people is given out; default: yes. */
  readonly app?: boolean
  /** Whether others than this machine may ask without a token; default: no. */
  readonly open?: boolean | undefined
  readonly limits?: Partial<Limits>
  readonly engine?: Partial<ModelsOptions>
  readonly signal?: AbortSignal
  /** Is told the address when the server listens, and the names of its models. */
  readonly onListening?: (url: string, models: readonly string[]) => void
}

/**
 * @param given models as `servedModels` takes them
 * @throws UserError where a model or the index cannot be opened; EnvironmentError where the port is taken
 */
export async function runServer(given: readonly string[], options: RunServerOptions): Promise<void> {
  const { host, port, tokenFile, allowUrls = false, open = false, index, signal, onListening, ...others } = options
  const { orientation = readingDefaults.orientation, decode = readingDefaults.decode } = options
  const limits = { ...limitDefaults, ...options.limits }
  const threads = options.threads ?? usableProcessors().count
  const models = servedModels(given, { orientation, decode, threads, maxPixels: limits.pixels })
  const tokens = await tokensOf(tokenFile)
  requireGuarded(host ?? serveDefaults.host, tokens, open)
  const fetchPicture = allowUrls ? pictureFetcher({ ...fetchDefaults, bytes: limits.bodyBytes }) : undefined
  await using server = await EmbeddingServer.start(models, {
    ...others,
    ...{ host: host ?? serveDefaults.host, port: port ?? serveDefaults.port, open, tokens, limits, fetchPicture },
    ...(index !== undefined && { index: { folder: index, threads, maxPixels: limits.pixels } }),
  })
  onListening?.(server.url, [...models.keys()])
  if (signal && !signal.aborted) await once(signal, "abort")
}

/** From a file, or the environment: a command line is seen by everybody on a machine. */
async function tokensOf(file: string | undefined): Promise<string[]> {
  const { MOBILECLIP_TOKEN: variable } = process.env
  if (file === undefined && variable === undefined) return []
  const lines = file === undefined ? variable!.split("\n") : await readLines(file)
  return parseTokens(lines, file ?? "MOBILECLIP_TOKEN")
}

function requireGuarded(host: string, tokens: readonly string[], isOpen: boolean): void {
  if (isOpen || tokens.length > 0 || isLoopback(host)) return
  throw new UserError(
    `whoever reaches ${host} could use this server, which has no token`,
    "name a file of tokens with --token-file, or say --open where the network is your own, as Immich's containers have it",
  )
}
