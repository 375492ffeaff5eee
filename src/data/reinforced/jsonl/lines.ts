/** Lines of a text file that may be compressed with gzip or zstd, without holding more than one of them. */
import { createReadStream } from "node:fs"
import { createGunzip } from "node:zlib"
import { Budget } from "../../../core/budget.ts"
import { messageOf, UserError } from "../../../core/errors.ts"
import { fileError } from "../../../host/files/file-error.ts"
import { openRandomAccess, requireFile } from "../../../host/files/files.ts"
import { unzstd } from "./zstd.ts"

export type Compression = "none" | "gzip" | "zstd"

export interface Line {
  /** Counted from 1. */
  readonly number: number
  readonly bytes: number
  /** Null where the line is longer than any line of its file may be. */
  readonly text: string | null
}

/** The longest line in bytes. A sample with a picture and 36 embeddings has about 0.5 MiB; a picture of 48 MiB fits. */
export const longestLine = 2 ** 26

/** A line holds data that were compressed before, so it is not much longer than the compressed file. */
const longestUnpackedLine = (size: number) => Math.min(longestLine, 2 ** 21 + 16 * size)

/**
 * Bytes that a compressed file may unpack to. Captions and URLs shrink to a tenth, pictures and embeddings hardly at all;
 * only copies of a line shrink to a thousandth.
 */
const unpackedBudget = (size: number) => 2 ** 24 + 256 * size

const newline = 0x0a

/**
 * Lines without their ends; those without a letter are counted and left out. Throws UserError where the compressed data
 * break off, after the last complete line.
 */
export async function* readLines(path: string, compression: Compression): AsyncGenerator<Line> {
  let parts: Uint8Array[] = []
  let length = 0
  let number = 1
  const longest = compression === "none" ? longestLine : longestUnpackedLine(sizeOf(path))
  const take = (): Line => {
    const text = length > longest ? null : Buffer.concat(parts).toString("utf8")
    const line = { number: number++, bytes: length, text }
    ;[parts, length] = [[], 0]
    return line
  }
  for await (const chunk of unpacked(path, compression)) {
    let start = 0
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      if (start < end) parts.push(chunk.subarray(start, end))
      length += end - start
      start = end + 1
      if (length > 0) yield take()
      else number++
      // Line ends can be packed to a thousandth, and a search for each would take long.
      for (; chunk[start] === newline; start++) number++
    }
    length += chunk.length - start
    // Nothing is kept of a line that is too long.
    if (length > longest) parts = []
    else if (start < chunk.length) parts.push(chunk.subarray(start))
  }
  if (length > 0) yield take()
}

/** The bytes of a file, unpacked. Throws UserError where the compressed data break off, or are much more than the file. */
export async function* unpacked(path: string, compression: Compression): AsyncGenerator<Uint8Array> {
  await requireFile(path)
  const file = createReadStream(path, { highWaterMark: compression === "none" ? 1 << 20 : 1 << 16 })
  try {
    if (compression === "none") yield* file
    else yield* withinBudget(sizeOf(path), compression, file)
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

function sizeOf(path: string): number {
  const file = openRandomAccess(path)
  file.close()
  return file.size
}

async function* withinBudget(
  size: number,
  compression: "gzip" | "zstd",
  file: NodeJS.ReadableStream,
): AsyncGenerator<Uint8Array> {
  const budget = new Budget(unpackedBudget(size), compression)
  const chunks = compression === "gzip" ? gunzipped(file) : unzstd(file as AsyncIterable<Uint8Array>, size)
  for await (const chunk of chunks) {
    budget.take(chunk.length, "what is unpacked next")
    yield chunk
  }
}

async function* gunzipped(file: NodeJS.ReadableStream): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip()
  file.on("error", (error) => gunzip.destroy(error))
  yield* file.pipe(gunzip)
}
