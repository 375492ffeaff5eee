/** The hash of a file, read piece by piece. */
import { createHash, type Hash } from "node:crypto"
import { createReadStream } from "node:fs"
import { pipeline } from "node:stream/promises"
import { fileError } from "./file-error.ts"
import { openRandomAccess } from "./files.ts"

/** Bytes that are read at a time. */
const pieceBytes = 1 << 20

/** SHA-256 in hexadecimal. Throws UserError where it is not a file, or cannot be read. */
export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash("sha256")
  if (!addSmall(hash, path)) await addLarge(hash, path)
  return hash.digest("hex")
}

/** A stream takes its whole pieces from memory, however small the file is: many small files would be slow. */
function addSmall(hash: Hash, path: string): boolean {
  const file = openRandomAccess(path)
  try {
    if (file.size <= pieceBytes) hash.update(file.read(0, file.size))
    return file.size <= pieceBytes
  } finally {
    file.close()
  }
}

async function addLarge(hash: Hash, path: string): Promise<void> {
  try {
    await pipeline(createReadStream(path, { highWaterMark: pieceBytes }), hash)
  } catch (error) {
    throw fileError(error, "reading", path)
  }
}
