/** Files by URL, wherever they are: a path, `file://`, `http(s)://`, `s3://`, `hf://`. */

export interface Storage {
  /** A local copy of a file, or the file itself where it is local. Throws UserError when there is none. */
  fetch(url: string, signal?: AbortSignal): Promise<LocalFile>
  /** A small file whole; null where there is none. */
  readBytes(url: string): Promise<Uint8Array | null>
  /** Writes a file that appears whole or not at all, replacing an old one. */
  put(url: string, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Written>
  /** Null where there is no such file. */
  stat(url: string): Promise<{ readonly bytes: number } | null>
  /** Paths, relative to the folder, of all files in and below it, sorted; none where there is no such folder. */
  list(folder: string): Promise<string[]>
  remove(url: string): Promise<void>
}

export interface LocalFile extends AsyncDisposable {
  readonly path: string
}

export interface Written {
  readonly bytes: number
  /** Of the content, in hexadecimal. */
  readonly sha256: string
}
