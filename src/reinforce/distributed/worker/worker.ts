/**
 * A worker: takes shards of a job and works on as many at a time as its runner has slots, until nothing is left.
 *
 * It may join and leave at any time. While the server is away it goes on with the shards it has and stores what became
 * of them when the server is back. The runner must keep this process' event loop free, as heartbeats come from it:
 * inference belongs into child processes.
 */
import { hostname } from "node:os"
import { setTimeout as sleep } from "node:timers/promises"
import { type Consumer, JetStreamError } from "@nats-io/jetstream"
import type { NatsConnection } from "@nats-io/transport-node"
import { EnvironmentError, isAbort, UserError } from "../../../core/errors.ts"
import type { ModelRunner } from "../../runner.ts"
import { defaultPolicy } from "../publish.ts"
import { isAway, untilAnswered } from "../server/connection.ts"
import { jobConsumer, queueState, takeMessage } from "../server/queue.ts"
import {
  answered,
  findJob,
  isGone,
  noLongerThere,
  type QueuedJob,
  readControl,
  readJob,
  requireThere,
} from "../server/queued-job.ts"
import { type JobRecord, type Note, schemas } from "../server/records.ts"
import { type AttemptContext, type AttemptEvent, attemptShard, isClosed } from "./attempt.ts"
import { Presence } from "./presence.ts"
import { SharedModels } from "./shared-models.ts"

export interface WorkerOptions {
  /** Shown in the status; default: the name of the machine. */
  readonly name?: string
  /** No more shards: those at work are finished. */
  readonly leave?: AbortSignal
  /** Those at work are abandoned, and go back to the queue. */
  readonly abandon?: AbortSignal
  readonly onEvent?: (event: AttemptEvent) => void
  /** Told, once each, of entries on the server that are not what they should be. */
  readonly onNote?: Note
  /** Longest time between two looks at a queue that gives nothing, in seconds. */
  readonly idleSeconds?: number
  /** Seconds between two renewals of the worker's entry. */
  readonly presenceSeconds?: number
}

export interface WorkerSummary {
  readonly done: number
  readonly failed: number
  readonly parked: number
  readonly released: number
  /** Shards that went back because this machine failed. */
  readonly returned: number
  /** Messages that the job did not publish. */
  readonly malformed: number
}

/** Faults in a row after which a worker gives up. */
const mostFaults = 10

/** Failures of the machine in a row, of all slots each time, after which a worker gives up. */
const mostOutages = 3

/** Longest pause of a worker whose last shards failed, in seconds. */
const longestPause = 60

/** The job when it is there, which may be later; null where `signal` came first. */
export async function waitForJob(
  connection: NatsConnection,
  name?: string,
  signal?: AbortSignal,
): Promise<QueuedJob | null> {
  while (!signal?.aborted) {
    const job = await untilAnswered(() => findJob(connection, name), signal)
    if (job) return job
    await sleep(1000, undefined, signal ? { signal } : {}).catch(() => {})
  }
  return null
}

/**
 * Works until the job is done, or the worker is told to leave. The runner stays open.
 * @throws UserError where the job was stopped or removed, or is made by other models
 * @throws EnvironmentError where this machine fails again and again
 */
export async function runWorker(
  job: QueuedJob,
  runner: ModelRunner,
  options: WorkerOptions = {},
): Promise<WorkerSummary> {
  const record = await answered(job, () => readJob(job), options.leave)
  if (!record) throw noLongerThere(job)
  return new Worker(job, record, runner, options).run()
}

class Worker {
  private readonly presence: Presence
  private readonly models: SharedModels
  /** Ends the work at once, with the error that `run` throws. */
  private readonly broken = new AbortController()
  private readonly counts = { done: 0, failed: 0, parked: 0, released: 0, returned: 0, malformed: 0 }
  private readonly noted = new Set<string>()
  private faultsInARow = 0
  private outagesInARow = 0
  /** What became of the last shard that was worked on. */
  private last: AttemptEvent | null = null
  private finished = false

  constructor(
    private readonly job: QueuedJob,
    private readonly record: JobRecord,
    private readonly runner: ModelRunner,
    private readonly options: WorkerOptions,
  ) {
    this.presence = new Presence(job, options.name ?? hostname(), runner.slots)
    this.models = new SharedModels(job, runner.identity, this.presence.id, this.note)
  }

  async run(): Promise<WorkerSummary> {
    const { job, record, runner, models, presence, note } = this
    const abandon = anyOf(this.options.abandon, this.broken.signal)
    const leave = anyOf(this.options.leave, abandon)
    await models.check(leave)
    const consumer = await answered(job, () => jobConsumer(job), leave)
    const { config } = await answered(job, () => consumer.info(true), leave)
    const ackWaitSeconds = (config.ack_wait ?? 30e9) / 1e9
    const given = await answered(job, () => readControl(job, "policy", schemas.policy, note), leave)
    const policy = given ?? defaultPolicy
    const context: AttemptContext = {
      ...{ job, record, runner, models, policy, presence, ackWaitSeconds, abandon, leave, note },
    }
    void job.connection.closed().then(() => this.broken.abort(new Error("the connection to the server is closed")))
    const stopped = new AbortController()
    const renewing = this.renew(stopped.signal)
    try {
      await Promise.all(Array.from({ length: runner.slots }, () => this.work(context, consumer, leave)))
    } finally {
      stopped.abort()
      await renewing
    }
    this.broken.signal.throwIfAborted()
    if (this.finished) await this.checkAtEnd(leave)
    if (this.finished && this.last?.kind === "returned") {
      throw new EnvironmentError(
        `the job is done, and the last shards that this machine took failed on it (${this.outagesInARow} in a row): ${this.last.reason}`,
        "others made them; mend what is wrong before the next job",
      )
    }
    return this.counts
  }

  /** A worker that finished no shard, while others did, may have other models than they. */
  private async checkAtEnd(leave: AbortSignal): Promise<void> {
    try {
      await this.models.check(leave)
    } catch (error) {
      if (!isGone(error) && !isClosed(error) && !leave.aborted) throw error
    }
  }

  /** One slot. Errors end the others, too. */
  private async work(context: AttemptContext, consumer: Consumer, leave: AbortSignal): Promise<void> {
    try {
      for (let idle = 1; !leave.aborted && !this.finished; idle *= 2) {
        const message = await this.take(consumer, Math.min(idle, this.options.idleSeconds ?? 10), leave)
        if (message) idle = 1
        if (message) await this.account(await attemptShard(context, message), leave)
        else if (!leave.aborted) this.finished ||= await answered(this.job, () => isFinished(this.job), leave)
      }
    } catch (error) {
      // A wait for the server that ended with the signal.
      if (!(leave.aborted && isAbort(error))) this.broken.abort(error)
    }
  }

  private async take(consumer: Consumer, seconds: number, leave: AbortSignal) {
    try {
      return await takeMessage(consumer, seconds, leave)
    } catch (error) {
      if (isClosed(error) || !(isAway(error) || error instanceof JetStreamError)) throw error
      // Heartbeats missed, or a server that shuts down.
      await pause(1, leave)
      return null
    }
  }

  private async account(event: AttemptEvent, leave: AbortSignal): Promise<void> {
    this.options.onEvent?.(event)
    if (event.kind === "doneElsewhere") return
    this.counts[event.kind]++
    if (event.kind === "released" || event.kind === "malformed") return
    this.last = event
    if (event.kind === "done") {
      this.faultsInARow = 0
      this.outagesInARow = 0
      return
    }
    const cause = event.kind === "returned" ? "environment" : event.cause
    // Slots fail together where the machine does: what fails at once is one time.
    const outages = { most: mostOutages, atOnce: this.runner.slots }
    if (cause === "environment") return this.endure(++this.outagesInARow, outages, event.reason, leave)
    if (cause === "fault") return this.endure(++this.faultsInARow, { most: mostFaults, atOnce: 1 }, event.reason, leave)
    this.faultsInARow = 0
  }

  /** A machine that is broken must not use up the tries of every shard. */
  private async endure(
    inARow: number,
    { most, atOnce }: { readonly most: number; readonly atOnce: number },
    reason: string,
    leave: AbortSignal,
  ): Promise<void> {
    const times = Math.ceil(inARow / atOnce)
    if (times >= most) {
      throw new EnvironmentError(
        `${inARow} shards in a row failed on this machine, the last one with: ${reason}`,
        "the shards went back to the queue; mend what is wrong and start the worker again",
      )
    }
    await pause(Math.min(2 ** (times - 1), longestPause), leave)
  }

  private readonly note: Note = (text) => {
    if (!this.noted.has(text)) this.options.onNote?.(text)
    this.noted.add(text)
  }

  private async renew(stopped: AbortSignal): Promise<void> {
    while (!stopped.aborted) {
      await this.tell(async () => {
        await this.presence.renew()
        await this.models.check(stopped)
        const stop = await readControl(this.job, "stop", schemas.stop, this.note)
        if (stop) this.broken.abort(new UserError(`job ${this.job.name} was stopped: ${stop.reason}`))
      })
      await pause(this.options.presenceSeconds ?? 10, stopped)
    }
    // It goes by itself where this does not arrive.
    await untilAnswered(() => this.presence.leave(), AbortSignal.abort()).catch(() => {})
  }

  /** A server that is away learns it later; one that came back without the job ends the work. */
  private async tell(work: () => Promise<void>): Promise<void> {
    try {
      await work().catch((error) => {
        if (!isAway(error)) throw error
        return requireThere(this.job)
      })
    } catch (error) {
      if (isClosed(error) || isAbort(error)) return
      this.broken.abort(isGone(error) ? noLongerThere(this.job) : error)
    }
  }
}

/** Whether all shards were queued, and none will be delivered any more. */
async function isFinished(job: QueuedJob): Promise<boolean> {
  if ((await job.control.get("published")) === null) return false
  const { queued, inFlight } = await queueState(job)
  return queued + inFlight === 0
}

function anyOf(...signals: readonly (AbortSignal | undefined)[]): AbortSignal {
  return AbortSignal.any(signals.filter((signal) => signal !== undefined))
}

/** Ends early with the signal. */
async function pause(seconds: number, signal: AbortSignal): Promise<void> {
  await sleep(seconds * 1000, undefined, { signal }).catch(() => {})
}
