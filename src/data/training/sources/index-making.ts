/** What is said of indexes that are made while shards are opened. */
import { noProgress, type Progress, type StartProgress } from "../../../core/progress.ts"
import { indexCacheFolder } from "../../sample-index/index-places.ts"

/** Seconds from which on it is shown and told. */
const long = 5

export class IndexMaking {
  /** Indexes that were made, of shards that are large enough for one to be kept. */
  count = 0
  private reason: string | null = null
  private seconds = 0
  private progress: Progress | null = null
  private isOver = false
  private readonly began: number

  /**
   * @param shards how many there are
   * @param now seconds
   */
  constructor(
    private readonly shards: number,
    private readonly startProgress: StartProgress = noProgress,
    private readonly now: () => number = () => performance.now() / 1000,
  ) {
    this.began = now()
  }

  /** @param reason why it is not kept, else null */
  add(reason: string | null): void {
    this.count++
    // Shards that are drawn are indexed in the middle of training.
    if (this.isOver) return
    this.reason ??= reason
    this.seconds = this.now() - this.began
    if (this.seconds < long) return
    this.progress ??= this.startProgress("indexing", this.shards, { unit: "shards", seconds: this.seconds })
    this.progress.update(this.count)
  }

  /** When all shards are open -> what is to be told, a line each. */
  end(): string[] {
    this.isOver = true
    this.progress?.done()
    const shards = `${this.count} ${this.count === 1 ? "shard" : "shards"}`
    const { reason } = this
    if (reason !== null) return [`the indexes of ${shards} are not kept, and are made at each start: ${reason}`]
    if (this.seconds < long) return []
    const seconds = Math.round(this.seconds)
    return [`indexed ${shards} in ${seconds} s; the next start finds the indexes in ${indexCacheFolder()}`]
  }
}
