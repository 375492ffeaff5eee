/**
 * Indexes of shards that are in use: files that stay open up to a number, because a system allows so many, and indexes that no
 * file has, which stay as long as their shard does.
 */
import { readFileSync } from "node:fs"
import type { SampleIndex } from "../../sample-index/index-file.ts"

/**
 * How many files of indexes are open at once: those that were not used for longest are closed, and opened again when they are
 * needed, which takes 30 to 50 times as long as a read. Shards, libraries and sockets are open beside them.
 */
export function mostOpen(limit = openFileLimit()): number {
  return Math.min(Math.floor(Math.max((limit - 512) / 4, limit / 8)), 4096)
}

/** Where the system does not say, what most allow. */
function openFileLimit(): number {
  try {
    return Number(/^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1] ?? 4096)
  } catch {
    return 4096
  }
}

export class OpenIndexes implements Disposable {
  /** In the order of their last use. */
  private readonly files = new Map<object, SampleIndex>()
  private readonly inMemory = new Map<object, SampleIndex>()

  /** @param most files that are open at once */
  constructor(private readonly most = mostOpen()) {}

  /** @param shard whose index it is */
  add(shard: object, index: SampleIndex): void {
    if (index.isFile) this.use(shard, index)
    else this.inMemory.set(shard, index)
  }

  /** @param open opens it again */
  get(shard: object, open: () => SampleIndex): SampleIndex {
    const kept = this.inMemory.get(shard)
    if (kept) return kept
    const index = this.files.get(shard) ?? open()
    if (!index.isFile) this.inMemory.set(shard, index)
    else this.use(shard, index)
    return index
  }

  remove(shard: object): void {
    this.files.get(shard)?.close()
    this.files.delete(shard)
    this.inMemory.delete(shard)
  }

  [Symbol.dispose](): void {
    for (const index of this.files.values()) index.close()
    this.files.clear()
    this.inMemory.clear()
  }

  private use(shard: object, index: SampleIndex): void {
    this.files.delete(shard)
    this.files.set(shard, index)
    if (this.files.size <= this.most) return
    const [oldest, unused] = this.files.entries().next().value!
    this.files.delete(oldest)
    unused.close()
  }
}
