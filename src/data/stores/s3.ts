/**
 * Objects in S3 and in other stores with its protocol (AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL): `s3://bucket/key`. An
 * object appears whole or not at all, and a transfer continues where it broke off.
 */
import { createHash } from "node:crypto"
import { createReadStream } from "node:fs"
import { rm, writeFile } from "node:fs/promises"
import { pipeline, Readable, Transform } from "node:stream"
import { UserError } from "../../core/errors.ts"
import { fileError } from "../../host/files/file-error.ts"
import { readBounded } from "../../host/network/bounded.ts"
import { download, type RemotePart } from "./download.ts"
import { Hashing } from "./hashing.ts"
import { mostBytesWhole, type StoreSettings, temporaryPath } from "./options.ts"
import { brokenBody, errorOf, NoSuchUpload, statusOf } from "./s3-errors.ts"
import { type OpenClient, S3Requests } from "./s3-requests.ts"
import type { Chunks, FileFacts, LocalFile, Storage, TransferOptions, Written } from "./storage.ts"

/** Larger files go up in parts. */
const largestPut = 2 ** 26

/** S3 takes 10,000 parts at most, of 5 MiB at least. */
const mostParts = 10_000

/** Pages of a list; a page usually has a thousand names. */
const [mostNames, mostPages, mostSeconds] = [5_000_000, 20_000, 600]

function endless(folder: string): UserError {
  return new UserError(`${folder}: the list of objects does not end`, "name a smaller folder")
}

export class S3Storage implements Storage {
  private readonly requests: S3Requests

  constructor(private readonly settings: StoreSettings) {
    this.requests = new S3Requests(settings)
  }

  async fetch(url: string, options?: TransferOptions): Promise<LocalFile> {
    const openPart = (offset: number, tag: string | null, signal: AbortSignal) =>
      this.openPart(url, offset, tag, signal)
    return download(url, openPart, this.settings, options)
  }

  async readBytes(url: string): Promise<Uint8Array | null> {
    return this.requests.sendIfThere(url, async ({ sdk, client }, abortSignal, heard) => {
      const answer = await client.send(new sdk.GetObjectCommand(locationOf(url)), { abortSignal })
      const body = brokenBody(answer.Body as AsyncIterable<Uint8Array>)
      return readBounded(body, { what: url, mostBytes: mostBytesWhole, heard })
    })
  }

  async stat(url: string): Promise<FileFacts | null> {
    return this.requests.sendIfThere(url, async ({ sdk, client }, abortSignal) => {
      const { ContentLength = 0, ETag } = await client.send(new sdk.HeadObjectCommand(locationOf(url)), { abortSignal })
      return { bytes: ContentLength, tag: ETag ?? null }
    })
  }

  async put(url: string, chunks: Chunks, options: TransferOptions = {}): Promise<Written> {
    const path = temporaryPath(this.settings, url)
    try {
      const hashing = new Hashing(chunks)
      await writeFile(path, hashing, { flag: "wx" })
      const written = hashing.written()
      const upload = { url, path, bytes: written.bytes, options }
      await (written.bytes > largestPut ? this.putParts(upload) : this.putWhole(upload))
      return written
    } catch (error) {
      throw fileError(error, "writing", path)
    } finally {
      await rm(path, { force: true })
    }
  }

  async list(folder: string): Promise<string[]> {
    const { Bucket, Key } = locationOf(folder.replace(/\/*$/, "/"), true)
    const names: string[] = []
    let ContinuationToken: string | undefined
    const ends = performance.now() + mostSeconds * 1000
    for (let pages = 0; pages === 0 || ContinuationToken; pages++) {
      if (pages > mostPages || names.length > mostNames || performance.now() > ends) throw endless(folder)
      const page = await this.requests.send(folder, ({ sdk, client }, abortSignal) => {
        const command = new sdk.ListObjectsV2Command({ Bucket, Prefix: Key, ContinuationToken })
        return client.send(command, { abortSignal })
      })
      for (const { Key: key = "" } of page.Contents ?? []) if (key.startsWith(Key)) names.push(key.slice(Key.length))
      if (page.NextContinuationToken && page.NextContinuationToken === ContinuationToken) throw endless(folder)
      ContinuationToken = page.NextContinuationToken
    }
    // Consoles make objects for folders, whose names end in a slash.
    return names.filter((name) => name !== "" && !name.endsWith("/")).sort()
  }

  async remove(url: string): Promise<void> {
    await this.requests.send(url, ({ sdk, client }, abortSignal) =>
      client.send(new sdk.DeleteObjectCommand(locationOf(url)), { abortSignal }),
    )
  }

  // --------------------------------------------------------------------------------------------------- transfers

  private async openPart(url: string, offset: number, tag: string | null, signal: AbortSignal): Promise<RemotePart> {
    const { sdk, client } = await this.requests.open()
    const range = offset > 0 ? { Range: `bytes=${offset}-`, ...(tag ? { IfMatch: tag } : {}) } : {}
    try {
      const command = new sdk.GetObjectCommand({ ...locationOf(url), ...range })
      const { Body, ContentRange, ContentLength, ETag } = await client.send(command, { abortSignal: signal })
      const [, first = "0", total = ContentLength] = /^bytes (\d+)-\d+\/(\d+)$/.exec(ContentRange ?? "") ?? []
      if (total === undefined) throw new UserError(`${url}: the server does not say how long the object is`)
      const body = brokenBody(Body as AsyncIterable<Uint8Array>)
      return { offset: Number(first), size: Number(total), tag: ETag ?? null, body }
    } catch (error) {
      // It was replaced, or is shorter, than when the copy began.
      if (offset > 0 && [412, 416].includes(statusOf(error) ?? 0)) return this.openPart(url, 0, null, signal)
      throw errorOf(url, error)
    }
  }

  private async putWhole({ url, path, bytes, options }: Upload): Promise<void> {
    await this.sendFile(url, path, { start: 0, length: bytes }, options, ({ sdk, client }, body, abortSignal) =>
      client.send(new sdk.PutObjectCommand({ ...locationOf(url), ...body }), { abortSignal }),
    )
  }

  private async putParts(upload: Upload): Promise<void> {
    const { url, options } = upload
    const target = locationOf(url)
    const { UploadId } = await this.requests.send(
      url,
      ({ sdk, client }, abortSignal) => client.send(new sdk.CreateMultipartUploadCommand(target), { abortSignal }),
      options,
    )
    try {
      await this.completeParts(upload, UploadId, await this.uploadParts(upload, UploadId))
    } catch (error) {
      const { sdk, client } = await this.requests.open()
      const abortSignal = AbortSignal.timeout(this.settings.timeoutSeconds * 1000)
      // Parts of an upload that is not completed cost money; the error that led here is the one to report.
      await client.send(new sdk.AbortMultipartUploadCommand({ ...target, UploadId }), { abortSignal }).catch(() => {})
      throw error
    }
  }

  private async uploadParts({ url, path, bytes, options }: Upload, UploadId: string | undefined): Promise<Part[]> {
    const size = Math.max(largestPut, Math.ceil(bytes / mostParts))
    const parts: Part[] = []
    for (let start = 0; start < bytes; start += size) {
      const part = { ...locationOf(url), UploadId, PartNumber: parts.length + 1 }
      const piece = { start, length: Math.min(size, bytes - start) }
      const { ETag } = await this.sendFile(url, path, piece, options, ({ sdk, client }, body, abortSignal) =>
        client.send(new sdk.UploadPartCommand({ ...part, ...body }), { abortSignal }),
      )
      parts.push({ PartNumber: part.PartNumber, ETag })
    }
    return parts
  }

  /** Where the answer was lost, the next attempt does not find the upload: the object tells whether it was completed. */
  private async completeParts(upload: Upload, UploadId: string | undefined, Parts: Part[]): Promise<void> {
    const { url, options } = upload
    const command = { ...locationOf(url), UploadId, MultipartUpload: { Parts } }
    try {
      await this.requests.send(
        url,
        ({ sdk, client }, abortSignal) => client.send(new sdk.CompleteMultipartUploadCommand(command), { abortSignal }),
        { ...options, seconds: uploadSeconds },
      )
    } catch (error) {
      if (!(error instanceof NoSuchUpload) || !(await this.isStored(upload, Parts))) throw error
    }
  }

  /** Whether the object is the one that these parts make. */
  private async isStored({ url, path, bytes }: Upload, parts: readonly Part[]): Promise<boolean> {
    const found = await this.requests.sendIfThere(url, ({ sdk, client }, abortSignal) =>
      client.send(new sdk.HeadObjectCommand(locationOf(url)), { abortSignal }),
    )
    if (found?.ContentLength !== bytes) return false
    const { ETag, ServerSideEncryption, SSECustomerAlgorithm } = found
    // Tags of encrypted objects do not depend on their content.
    if (ServerSideEncryption?.startsWith("aws:kms") || SSECustomerAlgorithm) return true
    return ETag === tagOfParts(parts) || ETag === (await tagOfFile(path))
  }

  /** Sends a piece of a file, again where the network fails. */
  private sendFile<T>(
    url: string,
    path: string,
    { start, length }: { readonly start: number; readonly length: number },
    options: TransferOptions,
    send: (s3: OpenClient, body: { Body: Readable; ContentLength: number }, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    return this.requests.send(
      url,
      (opened, signal, onBytes) => {
        // An empty file has no byte to begin with.
        const piece = length === 0 ? Readable.from([]) : createReadStream(path, { start, end: start + length - 1 })
        const Body = counted(piece, onBytes)
        return send(opened, { Body, ContentLength: length }, signal).finally(() => Body.destroy())
      },
      { ...options, seconds: uploadSeconds },
    )
  }
}

/** Silence of a request that sends up to 64 MiB, which a slow line may hold in its buffers, or that joins thousands of parts. */
const uploadSeconds = 600

interface Upload {
  readonly url: string
  /** Where the bytes are. */
  readonly path: string
  readonly bytes: number
  readonly options: TransferOptions
}

interface Part {
  readonly PartNumber: number
  readonly ETag: string | undefined
}

/** An object of several parts has the hash of their hashes, and their number. */
function tagOfParts(parts: readonly Part[]): string {
  const hash = createHash("md5")
  for (const { ETag = "" } of parts) hash.update(Buffer.from(ETag.replaceAll('"', ""), "hex"))
  return `"${hash.digest("hex")}-${parts.length}"`
}

/** The form that some other servers use. */
async function tagOfFile(path: string): Promise<string> {
  const hash = createHash("md5")
  for await (const chunk of createReadStream(path) as AsyncIterable<Uint8Array>) hash.update(chunk)
  return `"${hash.digest("hex")}"`
}

/** The stream, which reports the bytes that are read from it. */
function counted(stream: Readable, onBytes: (bytes: number) => void): Readable {
  const passing = new Transform({
    transform(chunk: Uint8Array, _, done) {
      onBytes(chunk.length)
      done(null, chunk)
    },
  })
  return pipeline(stream, passing, () => {})
}

function locationOf(url: string, isFolder = false): { Bucket: string; Key: string } {
  const [, Bucket, Key] = /^s3:\/\/([^/]+)\/(.*)$/i.exec(url) ?? []
  if (Bucket && (Key || isFolder)) return { Bucket, Key: Key ?? "" }
  throw new UserError(`${url} does not name an object`, "s3://bucket/path/file was expected")
}
