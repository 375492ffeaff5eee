/** A server of embeddings that listens: opened, and stopped without losing what it is asked. */
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import type { Server } from "node:http"
import type { AddressInfo } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { createAdaptorServer } from "@hono/node-server"
import { EnvironmentError } from "../core/errors.ts"
import type { ModelSettings } from "./engine/model-work.ts"
import { Models, type ModelsOptions } from "./engine/models.ts"
import { cacheBytesDefault } from "./engine/result-cache.ts"
import { type AppOptions, createApp } from "./http/app.ts"
import type { FetchPicture } from "./http/content.ts"
import { type Limits, limitDefaults } from "./http/context.ts"
import { RequestError } from "./http/errors.ts"
import { lifetimeDefaults } from "./processes/lasting.ts"
import type { ServedIndexSettings } from "./search/index-work.ts"
import { ServedIndex } from "./search/served-index.ts"

export interface ServeOptions extends AppOptions {
  readonly host?: string
  /** 0: any that is free. */
  readonly port?: number
  readonly limits?: Partial<Limits>
  readonly engine?: Partial<ModelsOptions>
  /** Default: none are fetched. */
  readonly fetchPicture?: FetchPicture | undefined
  /** What /v1/search looks through; default: nothing. */
  readonly index?: Omit<ServedIndexSettings, "cursorKey"> | undefined
}

export const serveDefaults = { host: "127.0.0.1", port: 8000 } as const

export const engineDefaults: ModelsOptions = {
  ...{ mostWaiting: 1024, textBatch: 32, maxDelay: 0, lifetime: lifetimeDefaults },
  ...{ idleSeconds: null, cacheBytes: cacheBytesDefault },
}

export class EmbeddingServer implements AsyncDisposable {
  private isStopping = false

  private constructor(
    private readonly server: Server,
    private readonly models: Models,
    readonly index: ServedIndex | null,
  ) {
    // The next request of a client finds another server, or none.
    server.prependListener("request", (_, answer) => {
      if (this.isStopping) answer.setHeader("Connection", "close")
    })
  }

  /**
   * @param models by the name that requests use; the first is opened before the server listens
   * @throws UserError where it, or the index, cannot be opened; EnvironmentError where the port is taken
   */
  static async start(models: ReadonlyMap<string, ModelSettings>, options: ServeOptions = {}): Promise<EmbeddingServer> {
    const { host, port } = { ...serveDefaults, ...options }
    const limits = { ...limitDefaults, ...options.limits }
    const engine = { ...engineDefaults, ...options.engine }
    const opened = new Models(models, engine)
    let index: ServedIndex | null = null
    try {
      if (options.index) index = await ServedIndex.open({ ...options.index, cursorKey: randomBytes(32) }, engine)
      await opened.use(undefined, async () => {})
      const fetchPicture = options.fetchPicture ?? refuseAddresses
      const app = createApp({ models: opened, index, fetchPicture, limits }, options)
      const server = createAdaptorServer({
        fetch: app.fetch,
        overrideGlobalObjects: false,
        serverOptions: { requestTimeout: limits.seconds * 1000, headersTimeout: 10_000, keepAliveTimeout: 5000 },
      }) as Server
      server.listen(port, host)
      await Promise.race([once(server, "listening"), once(server, "error").then(([error]) => Promise.reject(error))])
      return new EmbeddingServer(server, opened, index)
    } catch (error) {
      await index?.[Symbol.asyncDispose]()
      await opened[Symbol.asyncDispose]()
      throw (error as { code?: unknown }).code === "EADDRINUSE"
        ? new EnvironmentError(`port ${port} of ${host} is in use`, "choose another with --port", { cause: error })
        : error
    }
  }

  get url(): string {
    const { address, port, family } = this.server.address() as AddressInfo
    return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`
  }

  /** Answers what it was asked, takes nothing new, and ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.isStopping = true
    // Connections that are open may bring a request that is on its way; closing the server would cut them.
    await sleep(settling)
    const closed = once(this.server, "close")
    this.server.close()
    await closed
    await Promise.all([this.models[Symbol.asyncDispose](), this.index?.[Symbol.asyncDispose]()])
  }
}

/** Milliseconds in which what clients have sent arrives. */
const settling = 200

const refuseAddresses: FetchPicture = async () => {
  throw new RequestError("invalid", "this server does not fetch pictures from addresses: send their bytes", "input")
}
