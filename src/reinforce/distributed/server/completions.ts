/** Reads the completions of a job, each once; what is new since the last time costs four requests. */
import { AckPolicy, DeliverPolicy, type JsMsg } from "@nats-io/jetstream"
import { bucketStream, entryName, indexOfSubject, type QueuedJob } from "./queued-job.ts"
import { type Completion, readRecord, schemas } from "./records.ts"

/** Messages that are asked for at a time: half a megabyte. */
const batch = 1000

/** Milliseconds that the server keeps a reader that went away. */
const readerLifetime = 30_000

export class Completions {
  /** By index. */
  readonly all = new Map<number, Completion>()
  readonly totals = { samples: 0, dropped: 0, bytes: 0 }
  /** Entries that are not completions of the job's shards, and why, by key: their shards count as not done. */
  readonly unreadable = new Map<string, string>()
  private readonly keys = new Set<string>()
  /** The number of the last entry that was read. */
  private sequence = 0

  /** @param isOfJob whether a completion is that of a shard of the job */
  constructor(
    private readonly job: QueuedJob,
    private readonly isOfJob: (completion: Completion) => boolean,
  ) {}

  /** Reads what is new. Throws where the server is away; what was read until then is kept. */
  async update(): Promise<void> {
    const { jsm, js, name } = this.job
    const stream = bucketStream(name, "done")
    const { state } = await jsm.streams.info(stream)
    if (state.messages === 0 || state.last_seq <= this.sequence) return
    const reader = await jsm.consumers.add(stream, {
      ack_policy: AckPolicy.None,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: this.sequence + 1,
      inactive_threshold: readerLifetime * 1e6,
      mem_storage: true,
    })
    const consumer = js.consumers.getConsumerFromInfo(reader)
    while (this.sequence < state.last_seq) {
      const messages = await consumer.fetch({ max_messages: batch, expires: 1000, bind: true })
      for await (const message of messages) {
        this.sequence = message.seq
        this.read(message)
        if (message.info.pending === 0) break
      }
    }
    await consumer.delete()
    // Some were lost on the way: all are read again the next time.
    if (this.keys.size < state.messages) this.sequence = 0
  }

  /** In the order of the shards. */
  sorted(): Completion[] {
    return [...this.all.values()].sort((a, b) => a.index - b.index)
  }

  private read(message: JsMsg): void {
    const key = message.subject.slice(message.subject.lastIndexOf(".") + 1)
    this.keys.add(key)
    // An entry that somebody removed: its shard is not done.
    if (message.headers?.get("KV-Operation")) {
      this.remove(indexOfSubject(key))
      return
    }
    const name = entryName(this.job, `done.${key}`)
    const completion = readRecord(schemas.completion, message, name, (text) => this.unreadable.set(key, text))
    if (!completion) return
    if (completion.index !== indexOfSubject(key) || !this.isOfJob(completion)) {
      this.unreadable.set(key, `${name} on the server is of another shard`)
      return
    }
    this.unreadable.delete(key)
    this.add(completion)
  }

  private add(completion: Completion): void {
    if (this.all.has(completion.index)) return
    this.all.set(completion.index, completion)
    this.count(completion, 1)
  }

  private remove(index: number | null): void {
    const removed = index === null ? undefined : this.all.get(index)
    if (!removed) return
    this.all.delete(removed.index)
    this.count(removed, -1)
  }

  private count({ samples, dropped, bytes }: Completion, sign: 1 | -1): void {
    this.totals.samples += sign * samples
    this.totals.dropped += sign * dropped
    this.totals.bytes += sign * bytes
  }
}
