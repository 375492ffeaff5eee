/**
 * One file of a repository into the cache: resumed, checked, renamed.
 *
 * The client's own `downloadFileToCacheDir` (@huggingface/hub 2.17) starts again each time, checks nothing, lets two
 * downloads write to one file and names the snapshot by the file's last commit; so the contents are fetched here, in its
 * layout. They come over plain HTTP, which the hub offers for its Xet storage too, because only that has byte ranges of
 * the file itself to go on from.
 */
import { statfs } from "node:fs/promises"
import { dirname } from "node:path"
import { EnvironmentError, UserError } from "../core/errors.ts"
import { fileError } from "../host/files/file-error.ts"
import { NetworkFailure, type Retries, Watchdog } from "../host/network/network.ts"
import { PartialDownload } from "./partial.ts"
import type { RemoteFile } from "./repository.ts"
import { withHubRetries } from "./requests.ts"

interface DownloadOptions {
  readonly url: string
  /** Where the contents go. */
  readonly blob: string
  readonly fetch: typeof fetch
  readonly retries: Retries
  readonly timeoutSeconds: number
  /** Is told how many bytes of the file are there, at first those of an earlier download. */
  readonly onProgress?: (done: number) => void
}

/**
 * @throws UserError for wrong contents (nothing is kept), a full disk and a network that stays down (what came is kept
 *   for the next time); AbortError when the signal is aborted (kept as well)
 */
export async function download(file: RemoteFile, options: DownloadOptions): Promise<void> {
  try {
    await using partial = await PartialDownload.open(file, options.blob)
    await checkSpace(options.blob, file.size - partial.length)
    const attempt = () => fetchRest(file, partial, options)
    await withHubRetries(`downloading ${file.path}`, attempt, options.retries, () => partial.length)
    await checkContents(file, partial, options.url)
    await partial.complete()
  } catch (error) {
    throw isDiskFull(error) ? diskFull(options.blob) : fileError(error, "writing", options.blob)
  }
}

async function fetchRest(file: RemoteFile, partial: PartialDownload, options: DownloadOptions): Promise<void> {
  options.onProgress?.(partial.length)
  if (partial.length === file.size) return
  using watchdog = new Watchdog(options.timeoutSeconds)
  const headers = { "Accept-Encoding": "identity", Range: `bytes=${partial.length}-` }
  const response = await options.fetch(options.url, { headers, signal: watchdog.signal })
  // A server without ranges sends everything; one whose file is shorter than ours, nothing.
  if (partial.length > 0 && !continues(response, partial.length)) await partial.clear()
  if (response.status === 416) throw new NetworkFailure("the server's file is shorter than expected")
  await requireSize(file, response, partial)
  for await (const bytes of response.body ?? []) {
    watchdog.heard(bytes.length)
    if (partial.length + bytes.length > file.size) await refuseMore(file, partial)
    await partial.append(bytes)
    options.onProgress?.(partial.length)
  }
  if (partial.length < file.size) throw new NetworkFailure(`ended at byte ${partial.length} of ${file.size}`)
}

/** No more is written than was promised: it would fill the disk, and is not the file. */
async function refuseMore({ path, size }: RemoteFile, partial: PartialDownload): Promise<never> {
  await partial.clear()
  throw new UserError(`${path} is longer than its ${size} bytes in the list of files`, "nothing was kept; run again")
}

/** A server that announces another file is not asked again: it may answer with a page, or have a newer version. */
async function requireSize({ path, size }: RemoteFile, response: Response, partial: PartialDownload): Promise<void> {
  const announced = announcedSize(response)
  if (announced === null || announced === size) return
  await response.body?.cancel()
  await partial.clear()
  throw new UserError(
    `${path} has ${announced} bytes on the server, and ${size} in the list of files`,
    "nothing was kept; ask who runs the server, or run again where its files were just replaced",
  )
}

/** Bytes of the whole file; null where the answer does not say it, or counts compressed ones. */
function announcedSize({ status, headers }: Response): number | null {
  const text = status === 206 ? headers.get("Content-Range")?.split("/")[1] : headers.get("Content-Length")
  return headers.has("Content-Encoding") || !/^\d+$/.test(text ?? "") ? null : Number(text)
}

function continues(response: Response, from: number): boolean {
  return response.status === 206 && (response.headers.get("Content-Range") ?? "").startsWith(`bytes ${from}-`)
}

async function checkContents(file: RemoteFile, partial: PartialDownload, url: string): Promise<void> {
  const found = partial.digest()
  if (found === file.etag) return
  await partial.clear()
  throw new UserError(
    `${file.path} arrived damaged: its ${file.checksum} is ${found}, expected ${file.etag}`,
    `nothing was kept; run again, and if it stays so, ask who runs ${new URL(url).host} or a proxy on the way`,
  )
}

async function checkSpace(blob: string, needed: number): Promise<void> {
  const { bavail, bsize } = await statfs(dirname(blob))
  if (needed > bavail * bsize) throw diskFull(blob, needed, bavail * bsize)
}

function isDiskFull(error: unknown): boolean {
  return ["ENOSPC", "EDQUOT"].includes((error as NodeJS.ErrnoException).code ?? "")
}

function diskFull(path: string, needed?: number, free?: number): EnvironmentError {
  const sizes = needed === undefined ? "" : `: ${megabytes(needed)} are needed and ${megabytes(free!)} are free`
  return new EnvironmentError(
    `disk full at ${path}${sizes}`,
    "free some space, or choose another place with --cache-dir or HF_HOME; what was downloaded is kept and continued",
  )
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1e6)} MB`
}
