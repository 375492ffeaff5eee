/** A remote file as a local copy: a transfer that broke off continues where it stopped, as long as the file is the same. */
import { type FileHandle, open, rm } from "node:fs/promises"
import { fileError } from "../../host/files/file-error.ts"
import { keepInUse } from "../../host/files/temporary.ts"
import { NetworkFailure, Watchdog, withRetries } from "../../host/network/network.ts"
import { retriesOf, type StoreSettings, temporaryPath } from "./options.ts"
import type { LocalFile, TransferOptions } from "./storage.ts"

/** An answer with the file from `offset` on. */
export interface RemotePart {
  readonly offset: number
  /** Bytes of the whole file: no more is written. */
  readonly size: number
  /** Changes with the file; null where the server does not say. */
  readonly tag: string | null
  readonly body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>
}

/**
 * Asks for a file from `offset` on, if it still has this `tag`; the server may also send the whole file. Throws
 * NetworkFailure where another attempt may help.
 */
type OpenPart = (offset: number, tag: string | null, signal: AbortSignal) => Promise<RemotePart>

/** The copy, which its disposal removes. Throws UserError where the network stays down; then nothing is left. */
export async function download(
  url: string,
  openPart: OpenPart,
  settings: StoreSettings,
  options: TransferOptions = {},
): Promise<LocalFile> {
  const path = temporaryPath(settings, url)
  const endUse = keepInUse(path)
  const discard = () => {
    endUse()
    return rm(path, { force: true })
  }
  try {
    const file = await open(path, "wx")
    try {
      const copy = new Copy(file, openPart, settings.timeoutSeconds, options)
      await withRetries(
        () => copy.continue(),
        retriesOf(settings, url, options.signal),
        () => copy.length,
      )
    } finally {
      await file.close()
    }
    return { path, [Symbol.asyncDispose]: discard }
  } catch (error) {
    await discard()
    throw fileError(error, "writing", path)
  }
}

class Copy {
  length = 0
  private tag: string | null = null

  constructor(
    private readonly file: FileHandle,
    private readonly openPart: OpenPart,
    private readonly timeoutSeconds: number,
    private readonly options: TransferOptions,
  ) {}

  async continue(): Promise<void> {
    using watchdog = new Watchdog(this.timeoutSeconds)
    const { signal } = this.options
    try {
      await this.append(watchdog, signal ? AbortSignal.any([watchdog.signal, signal]) : watchdog.signal)
    } catch (error) {
      signal?.throwIfAborted()
      // Not every client throws the signal's own reason.
      watchdog.signal.throwIfAborted()
      throw error
    }
  }

  private async append(watchdog: Watchdog, signal: AbortSignal): Promise<void> {
    const { offset, size, tag, body } = await this.openPart(this.length, this.tag, signal)
    if (offset !== this.length || (this.length > 0 && tag !== this.tag)) await this.clear()
    if (offset > this.length) throw new NetworkFailure("the file changed while it was copied")
    this.tag = tag
    for await (const bytes of body) {
      watchdog.heard(bytes.length)
      this.options.onBytes?.(bytes.length)
      if (this.length + bytes.length > size) await this.refuse(size)
      await this.write(bytes)
    }
    if (this.length < size) throw new NetworkFailure(`ended at byte ${this.length} of ${size}`)
    // The file was longer when the copy began.
    if (this.length > size) await this.refuse(size)
  }

  /** Writes all bytes: a disk that is nearly full takes a part of them, and refuses the rest at the next call. */
  private async write(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.file.write(bytes, done, bytes.length - done, this.length)
      done += bytesWritten
      this.length += bytesWritten
    }
  }

  private async refuse(size: number): Promise<never> {
    await this.clear()
    throw new NetworkFailure(`more came than the ${size} bytes that were promised`)
  }

  private async clear(): Promise<void> {
    await this.file.truncate(0)
    this.length = 0
  }
}
