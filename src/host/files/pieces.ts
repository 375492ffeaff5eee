/** The bytes of a file, piece by piece. */
import { createReadStream } from "node:fs"
import { fileError } from "./file-error.ts"
import { openRandomAccess } from "./files.ts"

/** Bytes that are read at a time. */
const pieceBytes = 1 << 20

/** In order, one in memory at a time. Throws UserError where it is not a file, or cannot be read. */
export async function* piecesOf(path: string): AsyncGenerator<Uint8Array> {
  const small = readSmall(path)
  if (small) return yield small
  try {
    yield* createReadStream(path, { highWaterMark: pieceBytes })
  } catch (error) {
    throw fileError(error, "reading", path)
  }
}

/**
 * Null where it is more than a piece. A stream takes memory for whole pieces, twice, however small the file is: many small
 * files would be mostly garbage to collect. A system's file that says it is empty may not be.
 */
function readSmall(path: string): Uint8Array | null {
  const file = openRandomAccess(path)
  try {
    return file.size > 0 && file.size <= pieceBytes ? file.read(0, file.size) : null
  } finally {
    file.close()
  }
}
