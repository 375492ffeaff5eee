/** Vectors of what was asked before, by the content's hash: the ones used last, within a number of bytes. */
import { createHash } from "node:crypto"

export const cacheBytesDefault = 256 * 2 ** 20

/** What an entry takes beside its vector: the key, the map's own. */
const entryBytes = 200

export class ResultCache {
  readonly counts = { hits: 0, misses: 0 }
  /** In the order of their use, the oldest first. */
  private readonly entries = new Map<string, Float32Array>()
  private bytes = 0

  constructor(private readonly mostBytes: number) {}

  get(key: string): Float32Array | null {
    const found = this.entries.get(key)
    this.counts[found ? "hits" : "misses"]++
    if (!found) return null
    this.entries.delete(key)
    this.entries.set(key, found)
    return found
  }

  set(key: string, vector: Float32Array): void {
    if (this.entries.has(key) || entryBytes + vector.byteLength > this.mostBytes) return
    this.entries.set(key, vector)
    this.bytes += entryBytes + vector.byteLength
    for (const [oldest, { byteLength }] of this.entries) {
      if (this.bytes <= this.mostBytes) return
      this.entries.delete(oldest)
      this.bytes -= entryBytes + byteLength
    }
  }
}

/** @param files of the model: what another one said of the same content is not known (`ServedModel.files`) */
export function contentKey(files: string, kind: "text" | "picture", content: string | Uint8Array): string {
  return createHash("sha256").update(`${files} ${kind} `).update(content).digest("base64")
}
