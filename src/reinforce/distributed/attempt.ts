/**
 * One delivery of a shard: taken, worked on and reported, whatever happens.
 *
 * The message is acknowledged only when the completion is stored, so a shard is lost at no point: a worker that dies
 * leaves a message that is delivered again. A delivery counts as a try unless a worker gave it back as it left.
 */
import type { JsMsg } from "@nats-io/jetstream"
import { errors } from "@nats-io/transport-node"
import { messageOf, oneLine, UserError } from "../../core/errors.ts"
import type { ShardResult, ShardRunner, ShardTask } from "../runner.ts"
import { isAway, untilAnswered } from "./connection.ts"
import { createEntry } from "./entries.ts"
import { type Job, readControl } from "./job.ts"
import { attemptsKey, parkedKey } from "./parked.ts"
import type { Presence } from "./presence.ts"
import { type Attempts, type Completion, completionOf, type JobPolicy, parseRecord, schemas } from "./records.ts"
import { orStuck, StuckError, Watchdog } from "./watchdog.ts"

export type AttemptEvent =
  | { readonly kind: "done"; readonly completion: Completion }
  /** Another worker completed it. `differs`: with other bytes, so that one of the two machines is at fault. */
  | { readonly kind: "doneElsewhere"; readonly index: number; readonly differs: boolean }
  | {
      readonly kind: "failed" | "parked"
      readonly index: number
      readonly reason: string
      readonly tries: number
      /** The shard itself is wrong, as the runner says; else something went wrong here. */
      readonly shardAtFault: boolean
    }
  | { readonly kind: "released"; readonly index: number }

export interface AttemptContext {
  readonly job: Job
  readonly runner: ShardRunner
  readonly policy: JobPolicy
  readonly presence: Presence
  /** A message that is silent for so long is delivered again. */
  readonly ackWaitSeconds: number
  /** The worker is leaving: its shards go back. */
  readonly abandon: AbortSignal
}

/** Longest time between two tries, in seconds. */
const longestRetry = 300

/** Failures of a shard that are kept. */
const keptFailures = 20

/** Never throws for the shard's sake: StuckError where the runner is stuck, else only where the connection is closed. */
export async function attemptShard(context: AttemptContext, message: JsMsg): Promise<AttemptEvent> {
  // Renewed from this process, whose event loop no inference blocks: a runner works in processes of its own.
  const heartbeat = setInterval(() => send(() => message.working()), (context.ackWaitSeconds * 1000) / 3)
  try {
    return await new Attempt(context, message).result()
  } finally {
    clearInterval(heartbeat)
  }
}

class Attempt {
  private readonly task: ShardTask
  private earlier: Attempts = { released: 0, failures: [] }

  constructor(
    private readonly context: AttemptContext,
    private readonly message: JsMsg,
  ) {
    this.task = parseRecord(schemas.task, message, "a shard of the queue")
  }

  async result(): Promise<AttemptEvent> {
    const { index } = this.task
    const { job, policy, presence, abandon } = this.context
    if (this.message.info.deliveryCount > 1) {
      if (await untilAnswered(() => job.done.get(String(index)), abandon)) return this.elsewhere(false)
      const key = attemptsKey(index)
      this.earlier = (await untilAnswered(() => readControl(job, key, schemas.attempts), abandon)) ?? this.earlier
      if (this.tries > policy.maxTries) return this.park(this.lastReason(), this.tries - 1, false)
    }
    presence.begin(index)
    try {
      return await this.complete(await this.run())
    } catch (error) {
      if (isClosed(error)) throw error
      if (abandon.aborted && !(error instanceof StuckError)) return await this.release()
      const event = await this.fail(error)
      if (error instanceof StuckError) throw error
      return event
    } finally {
      presence.end(index)
    }
  }

  /** Deliveries that count, this one among them. */
  private get tries(): number {
    return Math.max(1, this.message.info.deliveryCount - this.earlier.released)
  }

  private async run(): Promise<ShardResult> {
    const { runner, policy, presence, abandon } = this.context
    using watchdog = new Watchdog(policy.stallSeconds)
    const signal = AbortSignal.any([abandon, watchdog.signal])
    const onProgress = (samples: number) => {
      watchdog.progress(samples)
      presence.progress(this.task.index, samples)
    }
    try {
      return await orStuck(runner.run(this.task, { signal, onProgress, onActivity: watchdog.activity }), signal)
    } catch (error) {
      if (error instanceof StuckError || !watchdog.signal.aborted) throw error
      throw watchdog.signal.reason
    }
  }

  private async complete(result: ShardResult): Promise<AttemptEvent> {
    const { job, presence, abandon } = this.context
    const completion = completionOf(result, presence.id)
    presence.progress(result.index, result.samples)
    if (!(await createEntry(job.done, String(result.index), completion, abandon))) {
      const entry = await untilAnswered(() => job.done.get(String(result.index)), abandon)
      const there = entry && parseRecord(schemas.completion, entry, `completion ${result.index}`)
      // Ours, where the server went away between the entry and its answer.
      if (there?.worker !== completion.worker) return this.elsewhere(there?.sha256 !== completion.sha256)
    }
    send(() => this.message.ack())
    presence.completed()
    return { kind: "done", completion }
  }

  private elsewhere(differs: boolean): AttemptEvent {
    send(() => this.message.ack())
    return { kind: "doneElsewhere", index: this.task.index, differs }
  }

  /** Once only, and without waiting for a server that is away: the worker is leaving. */
  private async release(): Promise<AttemptEvent> {
    const attempts = { ...this.earlier, released: this.earlier.released + 1 }
    try {
      await this.context.job.control.put(attemptsKey(this.task.index), JSON.stringify(attempts))
    } catch (error) {
      if (!isAway(error)) throw error
    }
    send(() => this.message.nak())
    return { kind: "released", index: this.task.index }
  }

  private async fail(error: unknown): Promise<AttemptEvent> {
    const { job, policy, presence, abandon } = this.context
    const { index } = this.task
    const reason = oneLine(messageOf(error), 500)
    const failure = { worker: presence.id, reason, at: Date.now() }
    this.earlier = { ...this.earlier, failures: [...this.earlier.failures, failure].slice(-keptFailures) }
    const shardAtFault = error instanceof UserError
    if (this.tries >= policy.maxTries) return this.park(reason, this.tries, shardAtFault)
    await untilAnswered(() => job.control.put(attemptsKey(index), JSON.stringify(this.earlier)), abandon)
    const seconds = Math.min(policy.retrySeconds * 2 ** (this.tries - 1), longestRetry)
    send(() => this.message.nak(seconds * 1000))
    return { kind: "failed", index, reason, tries: this.tries, shardAtFault }
  }

  private async park(reason: string, tries: number, shardAtFault: boolean): Promise<AttemptEvent> {
    const { job, abandon } = this.context
    const parked = { task: this.task, reason, tries, failures: this.earlier.failures, at: Date.now() }
    await untilAnswered(() => job.control.put(parkedKey(this.task.index), JSON.stringify(parked)), abandon)
    send(() => this.message.ack())
    return { kind: "parked", index: this.task.index, reason, tries, shardAtFault }
  }

  private lastReason(): string {
    const { failures } = this.earlier
    const silent = this.tries - 1 - failures.length
    if (silent <= 0) return failures.at(-1)?.reason ?? "unknown"
    const died = `${silent} of ${this.tries - 1} tries ended without a word: the worker died or lost its connection`
    return failures.length > 0 ? `${died}; before: ${failures.at(-1)!.reason}` : died
  }
}

/** Tells the server something about a message. Where the connection is closed, the message is delivered again anyway. */
function send(tell: () => void): void {
  try {
    tell()
  } catch (error) {
    if (!isClosed(error)) throw error
  }
}

export function isClosed(error: unknown): boolean {
  return error instanceof errors.ClosedConnectionError || error instanceof errors.DrainingConnectionError
}
