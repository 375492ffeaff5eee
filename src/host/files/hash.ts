/** The hash of a file, read piece by piece. */
import { createHash } from "node:crypto"
import { piecesOf } from "./pieces.ts"

/** SHA-256 in hexadecimal. Throws UserError where it is not a file, or cannot be read. */
export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash("sha256")
  for await (const piece of piecesOf(path)) hash.update(piece)
  return hash.digest("hex")
}
