/** Files of web servers, read only. */
import { UserError } from "../../core/errors.ts"
import { readBounded } from "../../host/network/bounded.ts"
import { failuresOf, NetworkFailure, Watchdog, withRetries } from "../../host/network/network.ts"
import { fetchFollowing } from "../../host/network/redirects.ts"
import { download, type RemotePart } from "./download.ts"
import { mostBytesWhole, retriesOf, type StoreSettings } from "./options.ts"
import {
  type FileFacts,
  type LocalFile,
  NoAccess,
  type Storage,
  type TransferOptions,
  type Written,
} from "./storage.ts"

/** A file at an address. */
export interface HttpFile {
  /** The name that users know, for messages. */
  readonly url: string
  readonly address: string
  readonly headers: Readonly<Record<string, string>>
  /** The hint where access is refused. */
  readonly accessHint?: string
}

export class HttpStorage implements Storage {
  constructor(private readonly settings: StoreSettings) {}

  fetch(url: string, options?: TransferOptions): Promise<LocalFile> {
    return fetchHttp(plain(url), this.settings, options)
  }

  readBytes(url: string): Promise<Uint8Array | null> {
    return readHttp(plain(url), this.settings)
  }

  stat(url: string): Promise<FileFacts | null> {
    return statHttp(plain(url), this.settings)
  }

  async put(url: string): Promise<Written> {
    throw readOnly(url)
  }

  async list(folder: string): Promise<string[]> {
    throw new UserError(
      `${folder}: web servers do not list their files`,
      "name the shards: {00000..00127}.tar, or info.json",
    )
  }

  async remove(url: string): Promise<void> {
    throw readOnly(url)
  }
}

export function readOnly(url: string): UserError {
  return new UserError(`${url} cannot be written`, "write to a folder or to s3://")
}

function plain(url: string): HttpFile {
  return { url, address: url, headers: {} }
}

export function fetchHttp(file: HttpFile, settings: StoreSettings, options?: TransferOptions): Promise<LocalFile> {
  const openPart = (offset: number, tag: string | null, signal: AbortSignal) => openFrom(file, offset, tag, signal)
  return download(file.url, openPart, settings, options)
}

/** Null where there is no such file. */
export function readHttp(file: HttpFile, settings: StoreSettings): Promise<Uint8Array | null> {
  return asking(file, settings, async (signal, watchdog) => {
    const response = await request(file, { signal })
    const heard = (bytes: number) => watchdog.heard(bytes)
    return failuresOf(readBounded(response.body ?? [], { what: file.url, mostBytes: mostBytesWhole, heard }))
  })
}

/** Asks by HEAD, or by a GET of one byte where a server refuses HEAD: it does not know it, or the address is signed for GET alone. */
export function statHttp(file: HttpFile, settings: StoreSettings): Promise<FileFacts | null> {
  return asking(file, settings, (signal) => factsOf(file, signal))
}

const refusalsOfHead = [400, 401, 403, 405, 501]

async function factsOf(file: HttpFile, signal: AbortSignal): Promise<FileFacts> {
  const head = await request(file, { method: "HEAD", signal }, refusalsOfHead)
  if (head.ok && lengthOf(head) !== null) return { bytes: lengthOf(head)!, tag: tagOf(head) }
  const part = await request(file, { headers: { Range: "bytes=0-0" }, signal }, [416])
  await part.body?.cancel()
  const size = part.status === 200 ? lengthOf(part) : rangeOf(part).size
  if (size !== null) return { bytes: size, tag: tagOf(part) }
  throw new UserError(`${file.url}: the server does not say how long the file is`, "copy it first")
}

/** Attempts with a time limit; null where the server answers that there is no such file. */
async function asking<T>(
  file: HttpFile,
  settings: StoreSettings,
  ask: (signal: AbortSignal, watchdog: Watchdog) => Promise<T>,
): Promise<T | null> {
  try {
    return await withRetries(
      async () => {
        using watchdog = new Watchdog(settings.timeoutSeconds)
        return await watchdog.orAbort(ask(watchdog.signal, watchdog))
      },
      retriesOf(settings, file.url),
    )
  } catch (error) {
    if (error instanceof NoSuchFile) return null
    throw error
  }
}

export class NoSuchFile extends UserError {}

async function openFrom(file: HttpFile, offset: number, tag: string | null, signal: AbortSignal): Promise<RemotePart> {
  const headers = { ...(offset > 0 ? { Range: `bytes=${offset}-` } : {}), ...(tag ? { "If-Range": tag } : {}) }
  const response = await request(file, { headers, signal }, [416])
  const found = tagOf(response)
  const body = response.body ?? []
  // Without the length, nothing tells when the file is complete.
  const whole = async () => lengthOf(response) ?? (await factsOf(file, signal)).bytes
  if (response.status === 200) return { offset: 0, size: await whole(), tag: found, body }
  const { first, size } = rangeOf(response)
  if (response.status === 206 && first !== null && size !== null) return { offset: first, size, tag: found, body }
  await response.body?.cancel()
  // 416: all bytes were there already, or the file was exchanged for a shorter one.
  if (response.status === 416 && size === offset) return { offset, size, tag, body: [] }
  if (offset > 0) return openFrom(file, 0, null, signal)
  throw new UserError(`${file.url}: the server answered ${response.status} without saying which part that is`)
}

/** Where a part begins, and the size of the whole; null where the server does not say. */
function rangeOf({ headers }: Response): { first: number | null; size: number | null } {
  const pattern = /^bytes (\d+|\*)(?:-\d+)?\/(\d+|\*)$/
  const [, first, total] = pattern.exec(headers.get("Content-Range") ?? "") ?? []
  const number = (text = "*") => (text === "*" ? null : Number(text))
  return { first: number(first), size: number(total) }
}

/** What If-Range takes: a strong etag, else the time of the last change. */
function tagOf({ headers }: Response): string | null {
  const etag = headers.get("ETag")
  return etag && !etag.startsWith("W/") ? etag : headers.get("Last-Modified")
}

/** Null where the length is that of a compressed form. */
function lengthOf({ headers }: Response): number | null {
  const length = headers.get("Content-Length")
  return length !== null && /^\d+$/.test(length) && !headers.get("Content-Encoding") ? Number(length) : null
}

/** `fetch` whose answers other than those of success and of `expected` are errors. */
export async function request(file: HttpFile, init: RequestInit, expected: readonly number[] = []): Promise<Response> {
  const headers = { "Accept-Encoding": "identity", ...file.headers, ...(init.headers as Record<string, string>) }
  const response = await failuresOf(fetchFollowing(fetch, new URL(file.address), { ...init, headers }))
  if (response.ok || expected.includes(response.status)) return response
  await response.body?.cancel()
  throw statusError(file, response)
}

function statusError({ url, accessHint }: HttpFile, { status, headers }: Response): Error {
  if (status === 408 || status === 429 || status >= 500) {
    const wait = Number.parseFloat(headers.get("Retry-After") ?? "")
    return new NetworkFailure(`the server answered ${status}`, Number.isFinite(wait) ? wait : null)
  }
  if (status === 404 || status === 410) return new NoSuchFile(`${url}: no such file (${status})`, "check the address")
  if (status === 401 || status === 403)
    return new NoAccess(`${url}: no access (${status})`, accessHint ?? "check the address")
  return new UserError(`${url}: the server answered ${status}`, "check the address")
}
