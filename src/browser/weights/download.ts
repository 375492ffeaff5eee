/** One file over the network: goes on where it ended, is checked, and kept where there is room. */
import { messageOf, UserError } from "../../core/errors.ts"
import { type KeptModel, pieceBytes } from "./kept-model.ts"
import type { ListedFile } from "./listing.ts"
import { type Asking, ask, Interrupted, piecesOf, withRetries } from "./requests.ts"
import { isQuotaError } from "./store.ts"
import { sha256 } from "./web-host.ts"

export interface DownloadOptions extends Asking {
  /** Null where nothing is kept. */
  readonly kept: KeptModel | null
  readonly onProgress: (loaded: number, total: number | null) => void
  /** Is told what could not be kept, and why. */
  readonly onNote: (text: string) => void
}

/**
 * The whole file.
 *
 * @throws UserError for wrong contents, EnvironmentError for a network that stays down, and what the signal was aborted with.
 *   No file is kept then; whole pieces of one whose digest is known are, for the next load to go on from
 */
export async function download(
  name: string,
  listed: ListedFile,
  options: DownloadOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  const incoming = await Incoming.open(name, listed, options)
  await receive(incoming, listed, options)
  // What was begun may be pieces of another version, and a server may have answered with another range.
  if (incoming.wasContinued && !(await incoming.isSound())) {
    await incoming.startAgain()
    await receive(incoming, listed, options)
  }
  return incoming.complete()
}

function receive(incoming: Incoming, listed: ListedFile, options: DownloadOptions): Promise<void> {
  const attempt = () => receiveRest(incoming, listed, options)
  return withRetries(options, listed.url, attempt, () => incoming.length)
}

async function receiveRest(incoming: Incoming, { url, bytes, sha256 }: ListedFile, options: DownloadOptions) {
  // Contents without a digest could be another version's from here on.
  if (sha256 === null) await incoming.startAgain()
  const from = incoming.length
  options.onProgress(from, bytes)
  // The browser's own cache would keep them a second time, and could give an old version.
  const headers = from > 0 ? { Range: `bytes=${from}-` } : {}
  const response = await ask(options, url, { headers, cache: "no-store" })
  if (from > 0 && continues(response, from)) incoming.wasContinued = true
  else if (from > 0) await incoming.startAgain()
  const total = bytes ?? lengthOf(response)
  if (response.status === 200) requireLength(url, bytes, lengthOf(response))
  for await (const piece of piecesOf(options, response)) {
    if (total !== null && incoming.length + piece.length > total) throw wrongSize(url, total, "more")
    await incoming.append(piece)
    options.onProgress(incoming.length, total)
  }
  if (total !== null && incoming.length < total)
    throw new Interrupted(`the connection ended at byte ${incoming.length} of ${total}`, true)
}

/** Most servers of other origins keep the range from pages: the digest is checked in any case. */
function continues({ status, headers }: Response, from: number): boolean {
  const range = headers.get("Content-Range")
  return status === 206 && (range === null || range.startsWith(`bytes ${from}-`))
}

/**
 * Of the contents; null where it is not said, or may be that of a compressed transfer: of another origin, pages see the length
 * and not the compression.
 */
export function lengthOf({ headers, type }: Response): number | null {
  const length = Number(headers.get("Content-Length") ?? Number.NaN)
  return type === "cors" || headers.has("Content-Encoding") || !Number.isSafeInteger(length) ? null : length
}

function requireLength(url: string, expected: number | null, found: number | null): void {
  if (expected !== null && found !== null && found !== expected) throw wrongSize(url, expected, `${found} bytes`)
}

function wrongSize(url: string, expected: number, found: string): UserError {
  return new UserError(
    `${url} has ${found} where its listing says ${expected} bytes`,
    "copy the whole model to the server again, the listing (mobileclip.json) included",
  )
}

/** What came of a file so far. Whole pieces are kept on the way where the digest is known, the rest at the end. */
class Incoming {
  private keptPieces = 0
  private buffer: Uint8Array<ArrayBuffer>

  private constructor(
    private readonly name: string,
    private readonly listed: ListedFile,
    private readonly options: DownloadOptions,
    private kept: KeptModel | null,
    begun: Uint8Array<ArrayBuffer>,
  ) {
    this.buffer = allocate(listed.bytes ?? pieceBytes, listed.url)
    this.buffer.set(begun)
    this.length = begun.length
    this.keptPieces = Math.floor(begun.length / pieceBytes)
  }

  length: number
  /** Its parts are of several answers. */
  wasContinued = false

  static async open(name: string, listed: ListedFile, options: DownloadOptions): Promise<Incoming> {
    const { sha256, bytes } = listed
    const begun = sha256 && bytes ? await options.kept?.begun(name, sha256, bytes) : null
    if (!begun?.length) await options.kept?.remove(name)
    const kept = await withRoom(name, listed, begun?.length ?? 0, options)
    return new Incoming(name, listed, options, kept, begun ?? new Uint8Array())
  }

  async append(bytes: Uint8Array): Promise<void> {
    if (this.length + bytes.length > this.buffer.length) this.grow(bytes.length)
    this.buffer.set(bytes, this.length)
    this.length += bytes.length
    if (this.listed.sha256) await this.keepPieces(this.listed.sha256, Math.floor(this.length / pieceBytes))
  }

  async startAgain(): Promise<void> {
    if (this.keptPieces > 0) await this.kept?.remove(this.name)
    this.length = 0
    this.keptPieces = 0
    this.wasContinued = false
  }

  async isSound(): Promise<boolean> {
    const { sha256: expected } = this.listed
    const found = await sha256(this.options.host, this.whole)
    return expected === null || found === null || found === expected
  }

  /** @throws UserError where the digest is another one; nothing is kept then */
  async complete(): Promise<Uint8Array<ArrayBuffer>> {
    const digest = await sha256(this.options.host, this.whole)
    const { sha256: expected, url, tag } = this.listed
    if (digest !== null && expected !== null && digest !== expected) {
      await this.kept?.remove(this.name)
      throw new UserError(
        `${url} came with other contents than its listing says: its SHA-256 is ${digest}, expected ${expected}`,
        "nothing was kept; copy the whole model to the server again, the listing (mobileclip.json) included",
      )
    }
    if (digest) await this.keepPieces(digest, Math.ceil(this.length / pieceBytes))
    if (digest) await this.keeping((kept) => kept.complete(this.name, { bytes: this.length, sha256: digest, tag }))
    return this.whole
  }

  private get whole(): Uint8Array<ArrayBuffer> {
    return this.buffer.length === this.length ? this.buffer : this.buffer.slice(0, this.length)
  }

  private async keepPieces(digest: string, count: number): Promise<void> {
    for (; this.keptPieces < count; this.keptPieces++) {
      const start = this.keptPieces * pieceBytes
      const piece = this.buffer.subarray(start, Math.min(this.length, start + pieceBytes))
      await this.keeping((kept) => kept.putPiece(this.name, digest, this.keptPieces, piece))
    }
  }

  /** Where nothing can be written, the file stays in memory. */
  private async keeping(write: (kept: KeptModel) => Promise<void>): Promise<void> {
    const { kept, name } = this
    if (!kept) return
    try {
      await write(kept)
    } catch (error) {
      this.kept = null
      await kept.remove(name)
      const why = isQuotaError(error) ? "its room here is used up" : messageOf(error)
      this.options.onNote(`${name} is in memory alone, because the browser does not keep it: ${why}`)
    }
  }

  private grow(more: number): void {
    const larger = allocate(Math.max(2 * this.buffer.length, this.length + more), this.listed.url)
    larger.set(this.buffer.subarray(0, this.length))
    this.buffer = larger
  }
}

function allocate(bytes: number, url: string): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(bytes)
  } catch (error) {
    throw new UserError(`${url} has ${bytes} bytes, more than this browser gives a page`, "use a smaller model", {
      cause: error,
    })
  }
}

/** Null where the browser says that the rest of the file has no room. */
async function withRoom(
  name: string,
  { bytes }: ListedFile,
  begun: number,
  { kept, host, onNote }: DownloadOptions,
): Promise<KeptModel | null> {
  if (!kept || bytes === null) return kept
  const { quota, usage } = (await host.storage?.estimate?.().catch(() => null)) ?? {}
  if (quota === undefined || usage === undefined || bytes - begun <= quota - usage) return kept
  await kept.remove(name)
  const left = Math.max(0, quota - usage)
  onNote(`${name} is in memory alone: it has ${bytes} bytes, and the browser has room for ${left} more here`)
  return null
}
