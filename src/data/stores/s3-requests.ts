/** Requests to S3 and to stores with its protocol: attempts, and limits for silence and for the length of answers. */
import { pipeline, Readable, Transform } from "node:stream"
import type { S3Client } from "@aws-sdk/client-s3"
import { webAddress } from "../../host/network/address.ts"
import { Watchdog, withRetries } from "../../host/network/network.ts"
import { retriesOf, type StoreSettings } from "./options.ts"
import { errorOf, NoSuchObject, TooLong } from "./s3-errors.ts"
import type { TransferOptions } from "./storage.ts"

type Sdk = typeof import("@aws-sdk/client-s3")

/** Bytes of an answer that is not an object: the client reads it as a whole. */
const mostBytesOfAnswer = 2 ** 25

export interface OpenClient {
  readonly sdk: Sdk
  readonly client: S3Client
}

/** A request, which reports the bytes that move. */
type Request<T> = (s3: OpenClient, signal: AbortSignal, heard: (bytes: number) => void) => Promise<T>

/** One client for all requests of a store. Retries are ours and not the client's, so that a transfer can continue. */
export class S3Requests {
  private opened: Promise<OpenClient> | undefined

  constructor(private readonly settings: StoreSettings) {}

  /** A request that is aborted after `seconds` of silence: every byte that moves, which `request` reports, starts them again. */
  send<T>(
    url: string,
    request: Request<T>,
    { seconds = this.settings.timeoutSeconds, signal, onBytes }: TransferOptions & { seconds?: number } = {},
  ): Promise<T> {
    const attempt = async () => {
      signal?.throwIfAborted()
      const opened = await this.open()
      using watchdog = new Watchdog(seconds)
      const heard = (bytes: number) => {
        watchdog.heard(bytes)
        onBytes?.(bytes)
      }
      try {
        return await request(opened, signal ? AbortSignal.any([watchdog.signal, signal]) : watchdog.signal, heard)
      } catch (error) {
        signal?.throwIfAborted()
        watchdog.signal.throwIfAborted()
        throw errorOf(url, error)
      }
    }
    return withRetries(attempt, retriesOf(this.settings, url, signal))
  }

  /** The same; null where there is no such object. */
  async sendIfThere<T>(url: string, request: Request<T>): Promise<T | null> {
    try {
      return await this.send(url, request)
    } catch (error) {
      if (error instanceof NoSuchObject) return null
      throw error
    }
  }

  /** The client, which is loaded and made once. */
  open(): Promise<OpenClient> {
    this.opened ??= openClient(this.settings)
    return this.opened
  }
}

async function openClient({ env }: StoreSettings): Promise<OpenClient> {
  const sdk = await import("@aws-sdk/client-s3")
  const endpoint = env.AWS_ENDPOINT_URL_S3 || env.AWS_ENDPOINT_URL
  if (endpoint) webAddress(endpoint, "the address of the object store", "check AWS_ENDPOINT_URL")
  const client = new sdk.S3Client({
    region: env.AWS_REGION || env.AWS_DEFAULT_REGION || "us-east-1",
    followRegionRedirects: true,
    // Servers other than Amazon's know neither its newer checksums nor a host for each bucket.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    ...(endpoint ? { endpoint, forcePathStyle: true } : {}),
    maxAttempts: 1,
  })
  boundAnswers(client)
  return { sdk, client }
}

/** Bounds lists, receipts and errors, whatever the server sends; the bytes of an object are counted where they are read. */
function boundAnswers({ middlewareStack }: S3Client): void {
  middlewareStack.add(
    (next, context) => async (args) => {
      const result = await next(args)
      const response = result.response as { readonly statusCode: number; body: unknown }
      const isObject = context.commandName === "GetObjectCommand" && response.statusCode < 300
      if (!isObject && response.body instanceof Readable) response.body = bounded(response.body)
      return result
    },
    { step: "deserialize", priority: "low", name: "boundAnswers" },
  )
}

function bounded(body: Readable): Readable {
  let bytes = 0
  const passing = new Transform({
    transform(chunk: Uint8Array, _, done) {
      bytes += chunk.length
      if (bytes > mostBytesOfAnswer) done(new TooLong(`more than ${mostBytesOfAnswer} bytes`))
      else done(null, chunk)
    },
  })
  return pipeline(body, passing, () => {})
}
