/** The hash of a file, read piece by piece. */
import { createHash } from "node:crypto"
import { createReadStream } from "node:fs"
import { pipeline } from "node:stream/promises"
import { fileError } from "./file-error.ts"
import { requireFile } from "./files.ts"

export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash("sha256")
  await requireFile(path)
  try {
    await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash)
  } catch (error) {
    throw fileError(error, "reading", path)
  }
  return hash.digest("hex")
}
