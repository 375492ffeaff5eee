/**
 * Objects of S3 and of whatever speaks its protocol (AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL): `s3://bucket/key`. An
 * object appears whole or not at all. Retries are ours, so that a transfer goes on where it broke off.
 */

import { createReadStream } from "node:fs"
import { rm, writeFile } from "node:fs/promises"
import type { S3Client, S3ServiceException } from "@aws-sdk/client-s3"
import { EnvironmentError, messageOf, oneLine, UserError } from "../../core/errors.ts"
import { fileError } from "../../host/file-error.ts"
import { NetworkFailure, Watchdog, withRetries } from "../../host/network.ts"
import { download, type RemotePart } from "./download.ts"
import { Hashing } from "./hashing.ts"
import { retriesOf, type Surroundings, temporaryPath } from "./options.ts"
import type { LocalFile, Storage, Written } from "./storage.ts"

type Sdk = typeof import("@aws-sdk/client-s3")

/** Larger files go up in parts. */
const largestPut = 2 ** 26

/** S3 takes 10,000 parts at most, of 5 MiB at least. */
const mostParts = 10_000

export class S3Storage implements Storage {
  private opened: Promise<{ sdk: Sdk; client: S3Client }> | undefined

  constructor(private readonly surroundings: Surroundings) {}

  async fetch(url: string, signal?: AbortSignal): Promise<LocalFile> {
    const openPart = (offset: number, tag: string | null, signal: AbortSignal) =>
      this.openPart(url, offset, tag, signal)
    return download(url, openPart, this.surroundings, signal)
  }

  async readBytes(url: string): Promise<Uint8Array | null> {
    return this.ask(url, async ({ sdk, client }, abortSignal) => {
      const answer = await client.send(new sdk.GetObjectCommand(placeOf(url)), { abortSignal })
      return answer.Body!.transformToByteArray()
    })
  }

  async stat(url: string): Promise<{ bytes: number } | null> {
    return this.ask(url, async ({ sdk, client }, abortSignal) => {
      const { ContentLength = 0 } = await client.send(new sdk.HeadObjectCommand(placeOf(url)), { abortSignal })
      return { bytes: ContentLength }
    })
  }

  async put(url: string, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Written> {
    const path = temporaryPath(this.surroundings, url)
    try {
      const hashing = new Hashing(chunks)
      await writeFile(path, hashing, { flag: "wx" })
      const written = hashing.written()
      await (written.bytes > largestPut
        ? this.putParts(url, path, written.bytes)
        : this.putWhole(url, path, written.bytes))
      return written
    } catch (error) {
      throw fileError(error, "writing", path)
    } finally {
      await rm(path, { force: true })
    }
  }

  async list(folder: string): Promise<string[]> {
    const { Bucket, Key } = placeOf(folder.replace(/\/*$/, "/"), true)
    const names: string[] = []
    let ContinuationToken: string | undefined
    do {
      const page = await this.demand(folder, ({ sdk, client }, abortSignal) => {
        const command = new sdk.ListObjectsV2Command({ Bucket, Prefix: Key, ContinuationToken })
        return client.send(command, { abortSignal })
      })
      for (const object of page.Contents ?? []) names.push(object.Key!.slice(Key.length))
      ContinuationToken = page.NextContinuationToken
    } while (ContinuationToken)
    // Consoles make objects for folders, whose names end in a slash.
    return names.filter((name) => name !== "" && !name.endsWith("/")).sort()
  }

  async remove(url: string): Promise<void> {
    await this.demand(url, ({ sdk, client }, abortSignal) =>
      client.send(new sdk.DeleteObjectCommand(placeOf(url)), { abortSignal }),
    )
  }

  // --------------------------------------------------------------------------------------------------- transfers

  private async openPart(url: string, offset: number, tag: string | null, signal: AbortSignal): Promise<RemotePart> {
    const { sdk, client } = await this.open()
    const range = offset > 0 ? { Range: `bytes=${offset}-`, ...(tag ? { IfMatch: tag } : {}) } : {}
    try {
      const command = new sdk.GetObjectCommand({ ...placeOf(url), ...range })
      const { Body, ContentRange, ContentLength, ETag } = await client.send(command, { abortSignal: signal })
      const [, first = "0", total = ContentLength] = /^bytes (\d+)-\d+\/(\d+)$/.exec(ContentRange ?? "") ?? []
      const body = brokenBody(Body as AsyncIterable<Uint8Array>)
      return { offset: Number(first), size: total === undefined ? null : Number(total), tag: ETag ?? null, body }
    } catch (error) {
      // It was replaced, or is shorter, than when the copy began.
      if (offset > 0 && [412, 416].includes(statusOf(error) ?? 0)) return this.openPart(url, 0, null, signal)
      throw errorOf(url, error)
    }
  }

  private async putWhole(url: string, path: string, bytes: number): Promise<void> {
    await this.demand(
      url,
      ({ sdk, client }, abortSignal) => {
        const body = { Body: createReadStream(path), ContentLength: bytes }
        return client.send(new sdk.PutObjectCommand({ ...placeOf(url), ...body }), { abortSignal })
      },
      uploadSeconds,
    )
  }

  private async putParts(url: string, path: string, bytes: number): Promise<void> {
    const place = placeOf(url)
    const { UploadId } = await this.demand(url, ({ sdk, client }, abortSignal) =>
      client.send(new sdk.CreateMultipartUploadCommand(place), { abortSignal }),
    )
    try {
      const Parts = await this.uploadParts(url, path, bytes, UploadId)
      await this.demand(url, ({ sdk, client }, abortSignal) => {
        const command = new sdk.CompleteMultipartUploadCommand({ ...place, UploadId, MultipartUpload: { Parts } })
        return client.send(command, { abortSignal })
      })
    } catch (error) {
      const { sdk, client } = await this.open()
      // Parts of an upload that is not ended are paid for; the error that led here is the one to report.
      await client.send(new sdk.AbortMultipartUploadCommand({ ...place, UploadId })).catch(() => {})
      throw error
    }
  }

  private async uploadParts(url: string, path: string, bytes: number, UploadId: string | undefined) {
    const size = Math.max(largestPut, Math.ceil(bytes / mostParts))
    const parts: { PartNumber: number; ETag: string | undefined }[] = []
    for (let start = 0; start < bytes; start += size) {
      const PartNumber = parts.length + 1
      const length = Math.min(size, bytes - start)
      const { ETag } = await this.demand(
        url,
        ({ sdk, client }, abortSignal) => {
          const body = { Body: createReadStream(path, { start, end: start + length - 1 }), ContentLength: length }
          return client.send(new sdk.UploadPartCommand({ ...placeOf(url), UploadId, PartNumber, ...body }), {
            abortSignal,
          })
        },
        uploadSeconds,
      )
      parts.push({ PartNumber, ETag })
    }
    return parts
  }

  // ---------------------------------------------------------------------------------------------------- requests

  /** Null where there is no such object. */
  private async ask<T>(url: string, send: (s3: Opened, signal: AbortSignal) => Promise<T>): Promise<T | null> {
    try {
      return await this.demand(url, send)
    } catch (error) {
      if (error instanceof NoSuchObject) return null
      throw error
    }
  }

  private demand<T>(
    url: string,
    send: (s3: Opened, signal: AbortSignal) => Promise<T>,
    seconds = this.surroundings.timeoutSeconds,
  ): Promise<T> {
    const attempt = async () => {
      const opened = await this.open()
      using watchdog = new Watchdog(seconds)
      try {
        return await send(opened, watchdog.signal)
      } catch (error) {
        watchdog.signal.throwIfAborted()
        throw errorOf(url, error)
      }
    }
    return withRetries(attempt, retriesOf(this.surroundings, url))
  }

  private open(): Promise<Opened> {
    this.opened ??= openClient(this.surroundings)
    return this.opened
  }
}

interface Opened {
  readonly sdk: Sdk
  readonly client: S3Client
}

/** For a request that sends up to 64 MiB, or more where a file has more than 10,000 such parts. */
const uploadSeconds = 600

async function openClient({ env }: Surroundings): Promise<Opened> {
  const sdk = await import("@aws-sdk/client-s3")
  const endpoint = env.AWS_ENDPOINT_URL_S3 || env.AWS_ENDPOINT_URL
  const client = new sdk.S3Client({
    region: env.AWS_REGION || env.AWS_DEFAULT_REGION || "us-east-1",
    followRegionRedirects: true,
    // Other servers than Amazon's know neither its newer checksums nor a host for each bucket.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    ...(endpoint ? { endpoint, forcePathStyle: true } : {}),
    maxAttempts: 1,
  })
  return { sdk, client }
}

function placeOf(url: string, isFolder = false): { Bucket: string; Key: string } {
  const [, Bucket, Key] = /^s3:\/\/([^/]+)\/(.*)$/i.exec(url) ?? []
  if (Bucket && (Key || isFolder)) return { Bucket, Key: Key ?? "" }
  throw new UserError(`${url} names no object`, "s3://bucket/path/file was expected")
}

class NoSuchObject extends UserError {}

function statusOf(error: unknown): number | undefined {
  return (error as Partial<S3ServiceException>).$metadata?.httpStatusCode
}

/** S3's names for "not now", some of which come as a 400. */
const passing = new Set([
  ...["RequestTimeout", "RequestTimeoutException", "IncompleteBody", "SlowDown", "InternalError", "ServiceUnavailable"],
  ...["OperationAborted", "Throttling", "ThrottlingException", "RequestLimitExceeded", "BandwidthLimitExceeded"],
])

/** Names for credentials, or a clock, that are not in order; some come as a 400. */
const refused = new Set([
  ...["AccessDenied", "AllAccessDisabled", "AuthorizationHeaderMalformed", "CredentialsProviderError", "ExpiredToken"],
  ...["InvalidAccessKeyId", "InvalidSecurity", "InvalidToken", "NotSignedUp", "RequestExpired"],
  ...["RequestTimeTooSkewed", "SignatureDoesNotMatch", "TokenRefreshRequired"],
])

/** What the client throws, as an error to say or one to try again after. */
function errorOf(url: string, error: unknown): unknown {
  const status = statusOf(error)
  const { name = "", code } = error as { name?: string; code?: string }
  const reason = oneLine(messageOf(error), 200)
  const cause = { cause: error }
  if (name === "NoSuchBucket")
    return new UserError(`${url}: no such bucket`, "check the address and AWS_ENDPOINT_URL", cause)
  if (status === 404) return new NoSuchObject(`${url}: no such object (404)`, "check the address", cause)
  if (name === "CredentialsProviderError") {
    return new EnvironmentError(
      `${url}: no credentials for S3`,
      "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
      cause,
    )
  }
  if (refused.has(name) || status === 401 || status === 403) return new EnvironmentError(`${url}: no access (${name}, ${status})`, "check the credentials, the clock and who may use the bucket", cause) // biome-ignore format: a row
  if (status === undefined) {
    return code !== undefined || name === "TimeoutError" ? new NetworkFailure(reason || String(code ?? name)) : error
  }
  if (passing.has(name) || status >= 500 || status === 408 || status === 429) return new NetworkFailure(`S3 answered ${status} (${name})`) // biome-ignore format: a row
  return new UserError(`${url}: S3 answered ${status} (${name}: ${reason})`, undefined, cause)
}

/** A connection that breaks is Node's error with a code. */
async function* brokenBody(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* body
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code ? new NetworkFailure(messageOf(error)) : error
  }
}
