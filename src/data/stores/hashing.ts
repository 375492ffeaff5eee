/** Counts and hashes chunks on their way into a file. */
import { createHash } from "node:crypto"
import type { Chunks, Written } from "./storage.ts"

export class Hashing {
  private readonly hash = createHash("sha256")
  private bytes = 0

  constructor(private readonly chunks: Chunks) {}

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for await (const chunk of this.chunks) {
      this.hash.update(chunk)
      this.bytes += chunk.length
      yield chunk
    }
  }

  /** Size and hash; called once, after the last chunk. */
  written(): Written {
    return { bytes: this.bytes, sha256: this.hash.digest("hex") }
  }
}
