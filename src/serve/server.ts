/** A server of embeddings that listens: opened, and stopped without losing what it is asked. */
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { createServer, type Server, type ServerResponse } from "node:http"
import { type AddressInfo, Server as NetServer } from "node:net"
import { setImmediate, setTimeout as sleep } from "node:timers/promises"
import { getRequestListener, RequestError as UnreadableRequest } from "@hono/node-server"
import { EnvironmentError } from "../core/errors.ts"
import { modelDirectory } from "../weights/model-directory.ts"
import { AppFiles } from "./app-files.ts"
import { engineDefaults, limitDefaults, serveDefaults } from "./defaults.ts"
import type { ModelSettings } from "./engine/model-work.ts"
import { Models, type ModelsOptions } from "./engine/models.ts"
import { type AppOptions, createApp, errorBodyOf, record } from "./http/app.ts"
import { answerBrokenRequests } from "./http/broken-requests.ts"
import type { FetchPicture } from "./http/content.ts"
import type { Limits, ServeApp } from "./http/context.ts"
import { RequestError, requestError } from "./http/errors.ts"
import { Metrics, type RequestRecord } from "./http/metrics.ts"
import { isLoopback, requireOrigins } from "./safety/foreign-pages.ts"
import { ThumbnailKeys } from "./safety/thumbnail-keys.ts"
import type { ServedIndexSettings } from "./search/index-work.ts"
import { ServedIndex } from "./search/served-index.ts"

export interface ServeOptions extends Omit<AppOptions, "page" | "hasLocalNames"> {
  /** Whether the page for people is given out, where it is built; default: yes. */
  readonly app?: boolean
  readonly host?: string
  /** Whether it may be asked by any name; default: where it listens on this machine alone and wants no tokens, by its own ones. */
  readonly open?: boolean
  /** 0: any that is free. */
  readonly port?: number
  readonly limits?: Partial<Limits>
  readonly engine?: Partial<ModelsOptions>
  /** Default: none are fetched. */
  readonly fetchPicture?: FetchPicture | undefined
  /** What /v1/search looks through; default: nothing. */
  readonly index?: Omit<ServedIndexSettings, "cursorKey"> | undefined
}

export class EmbeddingServer implements AsyncDisposable {
  private isStopping = false
  private readonly answering = new Set<ServerResponse>()

  private constructor(
    private readonly server: Server,
    private readonly models: Models,
    private readonly limits: Limits,
    readonly index: ServedIndex | null,
  ) {
    server.prependListener("request", (_, answer: ServerResponse) => {
      this.answering.add(answer)
      answer.once("close", () => this.answering.delete(answer))
      if (this.isStopping) endAfter(answer)
    })
  }

  /**
   * @param models by the name that requests use; the first is opened before the server listens
   * @throws UserError where it, or the index, cannot be opened, or an origin is none; EnvironmentError where the port is taken
   */
  static async start(models: ReadonlyMap<string, ModelSettings>, options: ServeOptions = {}): Promise<EmbeddingServer> {
    const { host, port } = { ...serveDefaults, ...options }
    requireOrigins(options.corsOrigins ?? [])
    const limits = limitsOf(options.limits)
    const engine = { ...engineDefaults, ...options.engine }
    const opened = new Models(models, engine)
    let index: ServedIndex | null = null
    try {
      if (options.index) index = await ServedIndex.open({ ...options.index, cursorKey: randomBytes(32) }, engine)
      await opened.use(undefined, async () => {})
      const fetchPicture = options.fetchPicture ?? refuseAddresses
      const folders = new Map([...models].map(([name, { model }]) => [name, () => modelDirectory(model)]))
      const hasIndex = index !== null
      const page = options.app === false ? null : await AppFiles.open({ models: folders, hasIndex })
      const isGuarded = (options.tokens ?? []).length > 0
      const thumbnailKeys = isGuarded ? new ThumbnailKeys(randomBytes(32)) : null
      const hasLocalNames = !isGuarded && !options.open && isLoopback(host)
      const context = { models: opened, index, fetchPicture, limits, thumbnailKeys }
      const metrics = new Metrics(opened, index)
      const app = createApp(context, { ...options, page, hasLocalNames }, metrics)
      const onRequest = (one: RequestRecord) => record(metrics, options.onRequest, one)
      const server = serverOf(app, limits, { onRequest, onFault: options.onFault })
      server.listen(port, host)
      await once(server, "listening")
      // A connection that cannot be accepted, for want of file descriptors, is not the end of the others.
      server.on("error", (error) => options.onFault?.(error))
      return new EmbeddingServer(server, opened, limits, index)
    } catch (error) {
      await index?.[Symbol.asyncDispose]()
      await opened[Symbol.asyncDispose]()
      throw listeningError(error, host, port)
    }
  }

  get url(): string {
    const { address, port, family } = this.server.address() as AddressInfo
    return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`
  }

  /** Numbers of the processes that have a model open, and last of the one that has the index. */
  pids(): number[] {
    const owners = [...this.models.open().values(), ...(this.index ? [this.index] : [])]
    return owners.flatMap(({ process: { pid } }) => (pid === undefined ? [] : [pid]))
  }

  /** Answers what it was asked, takes nothing new, and ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    // Closing the port resets connections that wait to be accepted: those of before get their time, and no client is told to
    // connect anew as long as the port is open.
    await settled()
    this.isStopping = true
    for (const answer of this.answering) endAfter(answer)
    const closed = once(this.server, "close")
    // Node's own `close` of an HTTP server also cuts connections that may bring a request which is on its way.
    NetServer.prototype.close.call(this.server)
    const late = setTimeout(() => this.server.closeAllConnections(), this.limits.seconds * 1000)
    await settled()
    this.server.closeIdleConnections()
    await closed
    clearTimeout(late)
    // Ends what looks after connections.
    this.server.close()
    await Promise.all([this.models[Symbol.asyncDispose](), this.index?.[Symbol.asyncDispose]()])
  }
}

function listeningError(error: unknown, host: string, port: number): unknown {
  switch ((error as { code?: unknown }).code) {
    case "EADDRINUSE":
      return new EnvironmentError(`port ${port} of ${host} is in use`, "choose another with --port", { cause: error })
    case "EACCES":
      return new EnvironmentError(`port ${port} of ${host} is not for this user`, "choose one above 1023 with --port", {
        cause: error,
      })
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return new EnvironmentError(`${host} is not an address of this machine`, "choose another with --host", {
        cause: error,
      })
    default:
      return error
  }
}

/** The next request of this client finds another server, or none. */
function endAfter(answer: ServerResponse): void {
  if (!answer.headersSent) answer.setHeader("Connection", "close")
}

function limitsOf(given: Partial<Limits> = {}): Limits {
  const limits = { ...limitDefaults, ...given }
  return { ...limits, bodiesBytes: Math.max(limits.bodiesBytes, limits.bodyBytes) }
}

interface Told {
  readonly onRequest: (one: RequestRecord) => void
  readonly onFault: AppOptions["onFault"]
}

function serverOf({ fetch }: ServeApp, { seconds }: Limits, told: Told): Server {
  const requestTimeout = seconds * 1000
  const options = {
    ...{ requestTimeout, headersTimeout: Math.min(10_000, requestTimeout), keepAliveTimeout: 5000 },
    ...{ connectionsCheckingInterval: Math.min(1000, requestTimeout), requireHostHeader: false },
  }
  const errorHandler = (error: unknown) => unreadable(error, told)
  const listener = getRequestListener(fetch, { hostname: "localhost", overrideGlobalObjects: false, errorHandler })
  const server = createServer(options, listener)
  answerBrokenRequests(server, { errorBody: errorBodyOf, onRequest: told.onRequest })
  // A client that does not read its answer is left after a while.
  return server.setTimeout(requestTimeout + 5000)
}

/** The adapter's refusal of an address or a Host that make no URL: the application does not see such a request. */
function unreadable(error: unknown, { onRequest, onFault }: Told): Response {
  const isRefused = error instanceof UnreadableRequest
  if (!isRefused) onFault?.(error)
  const told = isRefused
    ? new RequestError("invalid", `${error.message}: a path and a Host are expected`)
    : requestError(error)
  onRequest({ method: null, route: "*", status: told.status, milliseconds: 0 })
  return Response.json(errorBodyOf(told, null), { status: told.status })
}

/** Timers come before what has arrived: on a busy machine both may be due, and what has arrived is to be read first. */
async function settled(): Promise<void> {
  await sleep(settling)
  for (let turn = 0; turn < 2; turn++) await setImmediate()
}

/** Milliseconds in which what clients have sent arrives. */
const settling = 200

const refuseAddresses: FetchPicture = async (_url, field) => {
  throw new RequestError("invalid", "this server does not fetch pictures from addresses: send their bytes", field)
}
