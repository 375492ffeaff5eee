/** Files by URL, on any store: a path, `file://`, `http(s)://`, `s3://`, `hf://`. */
import { EnvironmentError } from "../../core/errors.ts"

/** A server refuses a file. Some answer so for what is not there: S3 to who may not list, the hub to who is not logged in. */
export class NoAccess extends EnvironmentError {}

export interface TransferOptions {
  /** Aborts: nothing is left of the copy, or of the file that is written. */
  readonly signal?: AbortSignal | undefined
  /** Is told of bytes as they move to or from another machine, so that a caller can see whether anything moves. */
  readonly onBytes?: ((bytes: number) => void) | undefined
}

export interface Storage {
  /** A local copy of a file, or the file itself where it is local. Throws UserError when there is none. */
  fetch(url: string, options?: TransferOptions): Promise<LocalFile>
  /** The content of a small file; null where there is no such file. */
  readBytes(url: string): Promise<Uint8Array | null>
  /** Writes a file that appears whole or not at all, replacing an old one. */
  put(url: string, chunks: Chunks, options?: TransferOptions): Promise<Written>
  /** Null where there is no such file. */
  stat(url: string): Promise<FileFacts | null>
  /** Paths, relative to the folder, of all files in and below it, sorted; none where there is no such folder. */
  list(folder: string): Promise<string[]>
  remove(url: string): Promise<void>
}

export interface FileFacts {
  readonly bytes: number
  /** Changes with the file; null where the server does not say. Not of files on this machine. */
  readonly tag?: string | null
}

export type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>

export interface LocalFile extends AsyncDisposable {
  readonly path: string
}

export interface Written {
  readonly bytes: number
  /** Hash of the content, in hexadecimal. */
  readonly sha256: string
}
