/**
 * One delivery of a shard: taken, worked on and reported, whatever happens.
 *
 * The message is acknowledged only when the completion is stored, so a shard is lost at no point: a worker that dies
 * leaves a message that is delivered again. What parks a shard: `../server/parking.ts`.
 */
import type { JsMsg } from "@nats-io/jetstream"
import { errors } from "@nats-io/transport-node"
import { EnvironmentError, isAbort, messageOf, oneLine, UserError } from "../../../core/errors.ts"
import type { ModelRunner, ShardResult, ShardTask } from "../../runner.ts"
import { createEntry, deleteEntry } from "../server/entries.ts"
import {
  attemptsKey,
  type Cause,
  judge,
  type Parking,
  parkedBefore,
  parkedShard,
  storeParked,
  type Verdict,
} from "../server/parking.ts"
import { publishTask } from "../server/queue.ts"
import { answered, entryName, isPresent, type QueuedJob, readControl } from "../server/queued-job.ts"
import {
  type Attempts,
  type Completion,
  completionOf,
  type JobPolicy,
  type JobRecord,
  type Note,
  readRecord,
  schemas,
} from "../server/records.ts"
import type { Presence } from "./presence.ts"
import { OtherModelsError, type SharedModels } from "./shared-models.ts"
import { readTaskMessage } from "./task-message.ts"
import { orStuck, StuckError, Watchdog } from "./watchdog.ts"

export type AttemptEvent =
  | { readonly kind: "done"; readonly completion: Completion }
  /** Another worker completed it. `differs`: with other bytes, so that one of the two machines is at fault. */
  | { readonly kind: "doneElsewhere"; readonly index: number; readonly differs: boolean }
  | (Verdict & { readonly index: number })
  | { readonly kind: "released"; readonly index: number }
  /** A message that the job did not publish: its shard is parked; where that is done, or there is none (null), it is not. */
  | { readonly kind: "malformed"; readonly index: number | null; readonly reason: string }

export interface AttemptContext {
  readonly job: QueuedJob
  readonly record: JobRecord
  readonly runner: ModelRunner
  readonly models: SharedModels
  readonly policy: JobPolicy
  readonly presence: Presence
  /** A message that is silent for so long is delivered again. */
  readonly ackWaitSeconds: number
  /** The worker is leaving: its shards go back. */
  readonly abandon: AbortSignal
  /** The worker leaves when its shards are done: a server that is away is not waited for. */
  readonly leave: AbortSignal
  readonly note: Note
}

/**
 * Never throws for the shard's sake: StuckError where the runner is stuck, OtherModelsError where the job has other
 * models (the shard went back as it was), else only where the connection is closed.
 */
export async function attemptShard(context: AttemptContext, message: JsMsg): Promise<AttemptEvent> {
  const asked = readTaskMessage(message, context.record)
  if (asked.kind === "stray") return dropMessage(message, asked.reason)
  const index = asked.kind === "task" ? asked.task.index : asked.index
  const done = await completionOn(context, index)
  if (asked.kind === "task") return attemptTask(context, message, asked.task, done)
  const { reason } = asked
  if (done) return dropMessage(message, `shard ${index} is done, and ${reason}`)
  await storeParked(context.job, { index, task: null, reason, tries: 0, failures: [], at: Date.now() }, context.leave)
  send(() => message.ack())
  return { kind: "malformed", index, reason }
}

function dropMessage(message: JsMsg, reason: string): AttemptEvent {
  send(() => message.term())
  return { kind: "malformed", index: null, reason }
}

/** @param done what says that the shard is done: it is done once, and nothing that its message names is written again */
async function attemptTask(
  context: AttemptContext,
  message: JsMsg,
  task: ShardTask,
  done: Completion | null,
): Promise<AttemptEvent> {
  if (done && !isOf(done, task)) {
    return dropMessage(message, `shard ${task.index} is done, and the message names another input or output for it`)
  }
  // What says that other models made it was not written by a worker of the job.
  if (done?.models === context.runner.identity) {
    send(() => message.ack())
    return { kind: "doneElsewhere", index: task.index, differs: false }
  }
  // Renewed from this process, whose event loop no inference blocks: a runner works in processes of its own.
  const heartbeat = setInterval(() => send(() => message.working()), (context.ackWaitSeconds * 1000) / 3)
  try {
    return await new Attempt(context, message, task).result()
  } finally {
    clearInterval(heartbeat)
  }
}

class Attempt {
  private earlier: Attempts = { released: 0, failures: [], outages: 0, outagesBy: [] }

  constructor(
    private readonly context: AttemptContext,
    private readonly message: JsMsg,
    private readonly task: ShardTask,
  ) {}

  async result(): Promise<AttemptEvent> {
    const { index } = this.task
    const { job, policy, presence, leave, note } = this.context
    if (this.message.info.deliveryCount > 1) {
      const key = attemptsKey(index)
      const earlier = await answered(job, () => readControl(job, key, schemas.attempts, note), leave)
      this.earlier = earlier ?? this.earlier
      const parking = parkedBefore(this.earlier, this.message.info.deliveryCount, policy)
      if (parking) return this.park(parking)
    }
    presence.begin(index)
    try {
      await this.context.models.check(leave)
      return await this.complete(await this.run())
    } catch (error) {
      if (isClosed(error)) throw error
      if (error instanceof OtherModelsError) {
        await this.release()
        throw error
      }
      if (this.isGivenUp(error)) return await this.release()
      const event = await this.fail(error)
      if (error instanceof StuckError) throw error
      return event
    } finally {
      presence.end(index)
    }
  }

  /** The work was abandoned, or its result waited for a server that is away when the worker was to leave. */
  private isGivenUp(error: unknown): boolean {
    const { abandon, leave } = this.context
    if (abandon.aborted) return !(error instanceof StuckError)
    return leave.aborted && isAbort(error)
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
      const result = await orStuck(runner.run(this.task, { signal, onProgress, onActivity: watchdog.activity }), signal)
      requireModels(result, runner.identity)
      return result
    } catch (error) {
      if (error instanceof StuckError || !watchdog.signal.aborted) throw error
      throw watchdog.signal.reason
    }
  }

  private async complete(result: ShardResult): Promise<AttemptEvent> {
    const { job, presence, leave, runner } = this.context
    await this.claimModels(result)
    await runner.record?.(result)
    const completion = completionOf(result, presence.id)
    presence.progress(result.index, result.samples)
    const key = String(this.task.index)
    if (!(await createEntry(job, "done", key, completion, leave))) {
      const found = await completionOn(this.context, this.task.index)
      const there = found && isOf(found, this.task) ? found : null
      // Ours, where the server went away between the entry and its answer.
      if (there && there.worker !== completion.worker) return this.elsewhere(there.sha256 !== completion.sha256)
      if (!there) await answered(job, () => job.done.put(key, JSON.stringify(completion)), leave)
    }
    send(() => this.message.ack())
    presence.completed()
    return { kind: "done", completion }
  }

  /** Before anything says that the shard is done. What other models than the job's have written does not stay. */
  private async claimModels(result: ShardResult): Promise<void> {
    const { models, runner, leave } = this.context
    try {
      await models.claim(leave)
    } catch (error) {
      if (error instanceof OtherModelsError) {
        await runner.discard?.(result)
        await this.makeAgain(result)
      }
      throw error
    }
  }

  /** Another worker may have done the shard while this one was out of touch, and had its output replaced by this one. */
  private async makeAgain({ index, sha256 }: ShardResult): Promise<void> {
    const { job, leave, note } = this.context
    const key = String(index)
    const entry = await answered(job, () => job.done.get(key), leave)
    if (!isPresent(entry)) return
    const there = readRecord(schemas.completion, entry, entryName(job, `done.${key}`), note)
    if (there?.sha256 === sha256) return
    if (await deleteEntry(job, "done", key, entry.revision)) await publishTask(job, this.task)
  }

  private elsewhere(differs: boolean): AttemptEvent {
    send(() => this.message.ack())
    return { kind: "doneElsewhere", index: this.task.index, differs }
  }

  /** Once only, and without waiting for a server that is away: the worker is leaving. */
  private async release(): Promise<AttemptEvent> {
    const attempts = { ...this.earlier, released: this.earlier.released + 1 }
    const { job, leave } = this.context
    try {
      await answered(job, () => job.control.put(attemptsKey(this.task.index), JSON.stringify(attempts)), leave)
    } catch (error) {
      if (!isAbort(error)) throw error
    }
    send(() => this.message.nak())
    return { kind: "released", index: this.task.index }
  }

  private async fail(error: unknown): Promise<AttemptEvent> {
    const { job, policy, presence, leave } = this.context
    const { index } = this.task
    const reason = oneLine(messageOf(error), 500)
    const failed = { cause: causeOf(error), reason, worker: presence.id, machine: presence.name }
    const judged = judge(this.earlier, this.message.info.deliveryCount, failed, policy)
    this.earlier = judged.attempts
    if (judged.verdict.kind === "parked") return this.park(judged.verdict)
    await answered(job, () => job.control.put(attemptsKey(index), JSON.stringify(this.earlier)), leave)
    send(() => this.message.nak(judged.retrySeconds * 1000))
    return { index, ...judged.verdict }
  }

  private async park(parking: Parking): Promise<AttemptEvent> {
    const { job, leave } = this.context
    await storeParked(job, parkedShard(this.task, parking, this.earlier), leave)
    send(() => this.message.ack())
    return { index: this.task.index, ...parking }
  }
}

function causeOf(error: unknown): Cause {
  if (error instanceof EnvironmentError) return "environment"
  return error instanceof UserError ? "input" : "fault"
}

/** The entry that says that a shard is done; null where there is none, or one that is not readable or of another shard. */
async function completionOn({ job, leave, note }: AttemptContext, index: number): Promise<Completion | null> {
  const key = String(index)
  const entry = await answered(job, () => job.done.get(key), leave)
  if (!isPresent(entry)) return null
  const found = readRecord(schemas.completion, entry, entryName(job, `done.${key}`), note)
  return found?.index === index ? found : null
}

function isOf({ input, output }: Completion, task: ShardTask): boolean {
  return input === task.input && output === task.output
}

/** A process that began later may have opened other files. */
function requireModels({ models, output }: ShardResult, identity: string): void {
  if (models === identity) return
  throw new EnvironmentError(`${output} was made by ${models}, and this worker's models are ${identity}`)
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
