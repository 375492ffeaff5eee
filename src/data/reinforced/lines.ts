/** Lines of a text file that may be compressed with gzip or zstd, without holding more than one of them. */
import { createReadStream } from "node:fs"
import { createGunzip } from "node:zlib"
import { Decompress } from "fzstd"
import { messageOf, UserError } from "../../core/errors.ts"
import { fileError } from "../../host/file-error.ts"
import { requireFile } from "../../host/files.ts"

export type Compression = "none" | "gzip" | "zstd"

export interface Line {
  /** From 1. */
  readonly number: number
  /** Null where it is longer than `longestLine`. */
  readonly text: string | null
}

/** In bytes: a sample with a picture and 36 embeddings has about 0.5 MiB. */
export const longestLine = 2 ** 27

/** What the format asks readers to support, and all that zstd uses up to level 19. It is moved once a block. */
const largestWindow = 2 ** 23

const newline = 0x0a

/** Lines without their ends. Throws UserError where the compressed data break off, behind the last whole line. */
export async function* readLines(path: string, compression: Compression): AsyncGenerator<Line> {
  let parts: Uint8Array[] = []
  let length = 0
  let number = 1
  const take = (): Line => {
    const text = length > longestLine ? null : Buffer.concat(parts).toString("utf8")
    ;[parts, length] = [[], 0]
    return { number: number++, text }
  }
  for await (const chunk of unpacked(path, compression)) {
    let start = 0
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      parts.push(chunk.subarray(start, end))
      length += end - start
      yield take()
      start = end + 1
    }
    length += chunk.length - start
    // Of a line that is too long nothing is kept.
    if (length > longestLine) parts = []
    else if (start < chunk.length) parts.push(chunk.subarray(start))
  }
  if (length > 0) yield take()
}

/** The bytes of a file, unpacked. Throws UserError where the compressed data break off. */
export async function* unpacked(path: string, compression: Compression): AsyncGenerator<Uint8Array> {
  await requireFile(path)
  const file = createReadStream(path, { highWaterMark: compression === "none" ? 1 << 20 : 1 << 16 })
  try {
    if (compression === "none") yield* file
    else if (compression === "gzip") yield* gunzipped(file)
    else yield* unzstd(file)
  } catch (thrown) {
    const error = fileError(thrown, "reading", path)
    if (compression === "none" || error instanceof UserError) throw error
    throw new UserError(`the ${compression} data are damaged or cut short (${messageOf(error)})`, undefined, {
      cause: error,
    })
  } finally {
    file.destroy()
  }
}

async function* gunzipped(file: NodeJS.ReadableStream): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip()
  file.on("error", (error) => gunzip.destroy(error))
  yield* file.pipe(gunzip)
}

async function* unzstd(file: AsyncIterable<Uint8Array | string>): AsyncGenerator<Uint8Array> {
  let blocks: Uint8Array[] = []
  const decoder = new Decompress((block) => blocks.push(block))
  let isFirst = true
  for await (const chunk of file as AsyncIterable<Uint8Array>) {
    if (isFirst) checkWindow(chunk)
    isFirst = false
    decoder.push(chunk)
    yield* blocks
    blocks = []
  }
  decoder.push(new Uint8Array(0), true)
  yield* blocks
}

/** Throws UserError where the first frame's header asks for more memory than `largestWindow` (RFC 8878, 3.1.1.1). */
function checkWindow(head: Uint8Array): void {
  if (head[0] !== 0x28) return
  const size = windowOf(Buffer.concat([head.subarray(0, 18), new Uint8Array(18)]))
  if (size <= largestWindow) return
  throw new UserError(
    `zstd asks for a window of ${Math.ceil(size / 2 ** 20)} MiB, more than ${largestWindow / 2 ** 20}`,
    "compress it without --ultra and without --long",
  )
}

/** In bytes; a frame that is a single segment has a window of its whole content. */
function windowOf(head: Buffer): number {
  const descriptor = head[4]!
  const isSingleSegment = (descriptor & 0x20) !== 0
  const base = 2 ** (10 + (head[5]! >>> 3))
  if (!isSingleSegment) return base + (base / 8) * (head[5]! & 7)
  const at = 5 + [0, 1, 2, 4][descriptor & 3]!
  const sizes = [head[at]!, head.readUInt16LE(at) + 256, head.readUInt32LE(at), Number(head.readBigUInt64LE(at))]
  return sizes[descriptor >>> 6]!
}
