/** A worker's entry on the server: who it is, what it works on and how fast, renewed while it lives. */
import { randomBytes } from "node:crypto"
import { hostname } from "node:os"
import type { QueuedJob } from "../server/queued-job.ts"
import type { WorkerRecord } from "../server/records.ts"

/** The rate is that of the last so many seconds. */
const rateWindow = 60

export class Presence {
  readonly id: string
  private readonly since = Date.now()
  private readonly atWork = new Map<number, number>()
  private shardsDone = 0
  private samples = 0
  /** Samples at times, the oldest first. */
  private history: { readonly at: number; readonly samples: number }[] = [{ at: Date.now(), samples: 0 }]

  constructor(
    private readonly job: QueuedJob,
    /** The machine goes by it. */
    readonly name: string,
    private readonly slots: number,
  ) {
    this.id = `${name.replaceAll(/[^A-Za-z0-9_-]+/g, "-")}-${process.pid}-${randomBytes(3).toString("hex")}`
  }

  begin(index: number): void {
    this.atWork.set(index, 0)
  }

  progress(index: number, samples: number): void {
    this.samples += Math.max(0, samples - (this.atWork.get(index) ?? 0))
    this.atWork.set(index, samples)
  }

  completed(): void {
    this.shardsDone++
  }

  end(index: number): void {
    this.atWork.delete(index)
  }

  async renew(): Promise<void> {
    await this.job.workers.put(this.id, JSON.stringify(this.record(Date.now())))
  }

  async leave(): Promise<void> {
    await this.job.workers.purge(this.id)
  }

  private record(at: number): WorkerRecord {
    return {
      ...{ id: this.id, host: hostname(), pid: process.pid, slots: this.slots },
      shards: [...this.atWork].map(([index, samples]) => ({ index, samples })),
      shardsDone: this.shardsDone,
      samplesPerSecond: this.rate(at),
      since: this.since,
      at,
    }
  }

  private rate(at: number): number {
    this.history = this.history.filter((point) => at - point.at <= rateWindow * 1000)
    const oldest = this.history[0] ?? { at: this.since, samples: 0 }
    this.history.push({ at, samples: this.samples })
    return at > oldest.at ? ((this.samples - oldest.samples) / (at - oldest.at)) * 1000 : 0
  }
}
