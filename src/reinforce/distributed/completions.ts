/** Follows the completions of a job, each once, through restarts of the server. */
import { KvWatchInclude } from "@nats-io/kv"
import { bucketStream, type Job } from "./job.ts"
import { type Completion, parseRecord, schemas } from "./records.ts"

export class Completions {
  /** By index. */
  readonly all = new Map<number, Completion>()
  readonly totals = { samples: 0, dropped: 0, bytes: 0 }
  /** Of the last entry that was read. */
  private revision = 0

  constructor(private readonly job: Job) {}

  /** Reads what is new. Throws where the server is away; what was read until then is kept. */
  async update(): Promise<void> {
    const { state } = await this.job.jsm.streams.info(bucketStream(this.job.name, "done"))
    if (state.messages === 0 || state.last_seq <= this.revision) return
    const entries = await this.job.done.watch(
      this.revision > 0 ? { resumeFromRevision: this.revision + 1 } : { include: KvWatchInclude.AllHistory },
    )
    // The iterator would wait for a server that went away for ever.
    const silence = new Silence(() => entries.stop())
    try {
      for await (const entry of entries) {
        silence.restart()
        if (entry.revision > this.revision) this.add(parseRecord(schemas.completion, entry, `completion ${entry.key}`))
        this.revision = Math.max(this.revision, entry.revision)
        if (this.revision >= state.last_seq) break
      }
    } finally {
      silence.end()
      entries.stop()
    }
  }

  /** In the order of the shards. */
  sorted(): Completion[] {
    return [...this.all.values()].sort((a, b) => a.index - b.index)
  }

  private add(completion: Completion): void {
    if (this.all.has(completion.index)) return
    this.all.set(completion.index, completion)
    this.totals.samples += completion.samples
    this.totals.dropped += completion.dropped
    this.totals.bytes += completion.bytes
  }
}

/** Milliseconds without an entry behind which a reader begins anew. */
const patience = 10_000

class Silence {
  private readonly timer: NodeJS.Timeout

  constructor(onSilence: () => void) {
    this.timer = setTimeout(onSilence, patience)
  }

  restart(): void {
    this.timer.refresh()
  }

  end(): void {
    clearTimeout(this.timer)
  }
}
