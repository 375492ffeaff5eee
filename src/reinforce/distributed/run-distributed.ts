/** Runs a job on the workers that are there: publishes its shards and waits until each is done or parked. */
import { setTimeout as sleep } from "node:timers/promises"
import type { NatsConnection } from "@nats-io/transport-node"
import { UserError } from "../../core/errors.ts"
import { type JobOptions, publishJob, publishMissing } from "./publish.ts"
import type { Completions } from "./server/completions.ts"
import { isAway } from "./server/connection.ts"
import { parkedShards } from "./server/parking.ts"
import { purgeUndeliverable, queueState } from "./server/queue.ts"
import { answered, isGone, noLongerThere, type QueuedJob, readControl } from "./server/queued-job.ts"
import { type Completion, type Note, type ParkedShard, schemas, type WorkerRecord } from "./server/records.ts"
import { liveWorkers, secondsLeft, totalRate } from "./status.ts"

export interface DistributedOptions extends JobOptions {
  /** Samples that may be missing from the outputs; a parked shard counts as one. Default: any number. */
  readonly maxFailures?: number
  /** Ends the waiting; the job and its workers go on. */
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: RunProgress) => void
  /** Seconds between two looks at the server. */
  readonly pollSeconds?: number
}

export interface RunProgress {
  readonly shards: number
  readonly done: number
  readonly parked: number
  readonly workers: number
  readonly samples: number
  readonly failures: number
  readonly bytes: number
  readonly samplesPerSecond: number
  readonly secondsLeft: number | null
  /** The server does not answer; workers go on with what they have. */
  readonly serverAway: boolean
}

export interface JobOutcome {
  /** In the order of the shards. */
  readonly completions: readonly Completion[]
  /** Identity of the models that workers had to have; null where no shard is done. */
  readonly models: string | null
  readonly parked: readonly ParkedShard[]
}

/** Workers and parked shards are many requests, and change slowly. */
const looksBetweenDetails = 5

/** Looks at an empty queue after which shards that are still missing are taken to be lost. */
const looksAtEmptyQueue = 3

/**
 * May be called again, from anywhere, for a job that runs.
 * @throws UserError where the job was begun with another specification, was removed, or has more than `maxFailures`
 */
export async function runDistributed(connection: NatsConnection, options: DistributedOptions): Promise<JobOutcome> {
  const noted = new Set<string>()
  const note: Note = (text) => {
    if (!noted.has(text)) options.onNote?.(text)
    noted.add(text)
  }
  const { job, completions } = await publishJob(connection, { ...options, onNote: note })
  return new Waiting(job, completions, options, note).outcome()
}

class Waiting {
  private everParked: readonly ParkedShard[] = []
  private workers: readonly WorkerRecord[] = []
  private looks = 0
  private emptyLooks = 0
  private progress: RunProgress

  constructor(
    private readonly job: QueuedJob,
    private readonly completions: Completions,
    private readonly options: DistributedOptions,
    /** Says each text once. */
    private readonly note: Note,
  ) {
    const none = { done: 0, parked: 0, workers: 0, samples: 0, failures: 0, bytes: 0, samplesPerSecond: 0 }
    this.progress = { shards: options.tasks.length, ...none, secondsLeft: null, serverAway: false }
  }

  async outcome(): Promise<JobOutcome> {
    const { signal, onProgress, pollSeconds = 1 } = this.options
    for (;;) {
      signal?.throwIfAborted()
      await this.look()
      onProgress?.(this.progress)
      await this.checkFailures()
      if (this.left === 0 && (await this.isSettled())) return this.settled()
      await sleep(pollSeconds * 1000, undefined, signal ? { signal } : {}).catch(() => {})
    }
  }

  private async settled(): Promise<JobOutcome> {
    const { signal } = this.options
    const models = await answered(this.job, () => readControl(this.job, "models", schemas.models, this.note), signal)
    return { completions: this.completions.sorted(), models: models?.identity ?? null, parked: this.parked }
  }

  private get parked(): readonly ParkedShard[] {
    const { tasks } = this.options
    return this.everParked.filter(({ index }) => index < tasks.length && !this.completions.all.has(index))
  }

  private get left(): number {
    return this.options.tasks.length - this.completions.all.size - this.parked.length
  }

  private async look(): Promise<void> {
    try {
      await this.completions.update()
      for (const text of this.completions.unreadable.values()) this.note(text)
      if (this.looks++ % looksBetweenDetails === 0) await this.lookAtDetails()
      this.progress = this.measured(this.workers.length, totalRate(this.workers))
      await this.publishLost()
    } catch (error) {
      if (isGone(error)) throw noLongerThere(this.job)
      if (!isAway(error)) throw error
      this.progress = { ...this.progress, serverAway: true }
    }
  }

  private async lookAtDetails(): Promise<void> {
    this.everParked = await parkedShards(this.job, this.note)
    this.workers = await liveWorkers(this.job, this.note)
  }

  /** Whether nothing is left indeed: a parked shard may have been put back a moment ago. */
  private async isSettled(): Promise<boolean> {
    await answered(this.job, () => this.lookAtDetails(), this.options.signal)
    return this.left === 0
  }

  private measured(workers: number, samplesPerSecond: number): RunProgress {
    const { samples, dropped, bytes } = this.completions.totals
    const done = this.completions.all.size
    return {
      ...{ shards: this.options.tasks.length, done, parked: this.parked.length, workers, samples, bytes },
      failures: dropped + this.parked.length,
      samplesPerSecond,
      secondsLeft: secondsLeft({ shards: this.left, done, samples, samplesPerSecond }),
      serverAway: false,
    }
  }

  /** A server that lost its last writes, as in a power cut, may have forgotten shards. */
  private async publishLost(): Promise<void> {
    const { queued, inFlight } = await queueState(this.job)
    this.emptyLooks = queued + inFlight === 0 && this.left > 0 ? this.emptyLooks + 1 : 0
    if (this.emptyLooks < looksAtEmptyQueue) return
    this.emptyLooks = 0
    const { tasks, signal } = this.options
    if (await purgeUndeliverable(this.job)) {
      await publishMissing(this.job, tasks, this.completions, { note: this.note, signal })
    }
  }

  private async checkFailures(): Promise<void> {
    const { maxFailures = Number.POSITIVE_INFINITY, signal } = this.options
    const { failures } = this.progress
    if (failures <= maxFailures) return
    const reason = `${failures} samples or shards failed, more than the ${maxFailures} that are allowed`
    await answered(this.job, () => this.job.control.put("stop", JSON.stringify({ reason })), signal)
    const first = this.parked[0]?.reason ?? this.firstProblem()
    throw new UserError(
      `job ${this.job.name} was stopped: ${reason}${first ? `; the first: ${first}` : ""}`,
      "see failures.jsonl; the same command with a larger --max-failures goes on",
    )
  }

  private firstProblem(): string | undefined {
    const problems = this.completions.sorted().flatMap(({ problems }) => problems)
    return problems.find(({ action }) => action === "dropped")?.reason
  }
}
