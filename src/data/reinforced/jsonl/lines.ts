/** Lines of a text file that may be compressed with gzip or zstd, without holding more than one of them. */
import { createReadStream } from "node:fs"
import { createGunzip } from "node:zlib"
import { Budget } from "../../../core/budget.ts"
import { messageOf, UserError } from "../../../core/errors.ts"
import { utf8Chunks, withNewlines } from "../../../core/text/decode-text.ts"
import { fileError } from "../../../host/files/file-error.ts"
import { openRandomAccess, requireFile } from "../../../host/files/files.ts"
import { piecesOf } from "../../../host/files/pieces.ts"
import { unzstd } from "./zstd.ts"

export type Compression = "none" | "gzip" | "zstd"

export type Line = {
  /** Counted from 1. */
  readonly number: number
  /** Its first byte in what is unpacked. */
  readonly start: number
  readonly bytes: number
} & ({ readonly text: string } | { readonly text: null; readonly problem: string })

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
 * Lines without their ends, which are CR, LF or both; those without a letter are counted and left out. A line that is too long
 * or not UTF-8 says so. Throws UserError where the compressed data break off, after the last complete line.
 */
export async function* readLines(path: string, compression: Compression): AsyncGenerator<Line> {
  let parts: Uint8Array[] = []
  let length = 0
  let number = 1
  let position = 0
  const longest = compression === "none" ? longestLine : longestUnpackedLine(sizeOf(path))
  const take = (end: number): Line => {
    const text = length > longest ? null : decodeLine(Buffer.concat(parts))
    const problem = length > longest ? `its ${length} bytes are more than a line may have` : "it is not UTF-8"
    const place = { number: number++, start: position + end - length, bytes: length }
    ;[parts, length] = [[], 0]
    return text === null ? { ...place, text, problem } : { ...place, text }
  }
  for await (const chunk of withNewlines(utf8Chunks(unpacked(path, compression), path))) {
    let start = 0
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      if (start < end) parts.push(chunk.subarray(start, end))
      length += end - start
      start = end + 1
      if (length > 0) yield take(end)
      else number++
      // Line ends can be packed to a thousandth, and a search for each would take long.
      for (; chunk[start] === newline; start++) number++
    }
    length += chunk.length - start
    // Nothing is kept of a line that is too long.
    if (length > longest) parts = []
    else if (start < chunk.length) parts.push(chunk.subarray(start))
    position += chunk.length
  }
  if (length > 0) yield take(0)
}

const decoder = new TextDecoder("utf-8", { fatal: true })

/** Null where they are not UTF-8. A byte-order mark is left out; where files were put together, it is not in the first line only. */
export function decodeLine(bytes: Uint8Array): string | null {
  try {
    return decoder.decode(bytes)
  } catch {
    return null
  }
}

/** The bytes of a file, unpacked. Throws UserError where the compressed data break off, or are much more than the file. */
export async function* unpacked(path: string, compression: Compression): AsyncGenerator<Uint8Array> {
  if (compression === "none") return yield* piecesOf(path)
  await requireFile(path)
  const file = createReadStream(path, { highWaterMark: 1 << 16 })
  try {
    yield* withinBudget(sizeOf(path), compression, file)
  } catch (thrown) {
    const error = fileError(thrown, "reading", path)
    if (error instanceof UserError) throw error
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
