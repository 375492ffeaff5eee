/** All shards of a job on one machine: those that are not done yet, as many at a time as the runner takes. */
import { EnvironmentError, messageOf, UserError } from "../../core/errors.ts"
import type { FailedShard, Outcome } from "../job/outcome.ts"
import { type ShardResult, type ShardRunner, type ShardTask, WorkerDeath } from "../runner.ts"
import { defaultPauses, Outage } from "./outage.ts"

interface RunShardsOptions {
  /** Samples and shards that may be left out before the run stops. */
  readonly maxFailures: number
  /** Times that a shard is begun before it is given up. */
  readonly tries: number
  /** No new shard is begun after it; those under way are finished. */
  readonly signal?: AbortSignal
  readonly onState?: (state: RunState) => void
  /** Seconds to wait where the machine fails, one time after the other, before the run stops (default: 8 minutes). */
  readonly pauses?: readonly number[]
  /** Told where the run waits for the machine. */
  readonly onNote?: (text: string) => void
}

export interface RunState {
  readonly shards: number
  readonly shardsDone: number
  /** In outputs that are complete, and so far in those under way. */
  readonly samples: number
  /** Samples and shards that were left out. */
  readonly failures: number
}

export interface RunOutcome extends Outcome {
  /** Shards that were complete before. */
  readonly resumed: number
  /** Why shards are missing, other than failed ones. */
  readonly stopped: "interrupted" | "too many failures" | "environment" | null
  /** What the machine failed with, where that stopped the run. */
  readonly outage?: EnvironmentError
}

/** @param completed the results of shards that were done before, by their place in the plan */
export async function runShards(
  tasks: readonly ShardTask[],
  runner: ShardRunner,
  completed: ReadonlyMap<number, ShardResult>,
  options: RunShardsOptions,
): Promise<RunOutcome> {
  const run = new Run(tasks, runner, completed, options)
  await run.finish()
  return run.outcome()
}

class Run {
  /** The next one last: taking the first of a long list would move all others, each time. */
  private readonly pending: ShardTask[]
  private readonly results: Map<number, ShardResult>
  private readonly failed: FailedShard[] = []
  private readonly resumed: number
  /** Samples so far of each shard under way. */
  private readonly underWay = new Map<number, number>()
  private readonly budget = new AbortController()
  private readonly outage: Outage
  /** The failure of the machine that ended the run's patience. */
  private broken: EnvironmentError | null = null
  /** In the shards that are complete. */
  private samples = 0
  private dropped = 0

  constructor(
    private readonly tasks: readonly ShardTask[],
    private readonly runner: ShardRunner,
    completed: ReadonlyMap<number, ShardResult>,
    private readonly options: RunShardsOptions,
  ) {
    this.results = new Map()
    for (const result of completed.values()) this.complete(result)
    this.resumed = completed.size
    this.pending = tasks.filter(({ index }) => !completed.has(index)).reverse()
    const { pauses = defaultPauses, signal, onNote } = options
    this.outage = new Outage({ pauses, ...(signal && { signal }), ...(onNote && { onNote }) })
  }

  async finish(): Promise<void> {
    this.note()
    await Promise.all(Array.from({ length: this.runner.slots }, () => this.workOff()))
  }

  outcome(): RunOutcome {
    const results = [...this.results.values()].sort((a, b) => a.index - b.index)
    const outcome = { results, failed: this.failed, resumed: this.resumed }
    if (this.budget.signal.aborted) return { ...outcome, stopped: "too many failures" }
    if (this.broken) return { ...outcome, stopped: "environment", outage: this.broken }
    const interrupted = this.results.size + this.failed.length < this.tasks.length
    return { ...outcome, stopped: interrupted ? "interrupted" : null }
  }

  private async workOff(): Promise<void> {
    while (!this.options.signal?.aborted && !this.budget.signal.aborted && !this.broken) {
      const task = this.pending.pop()
      if (!task) return
      await this.runOne(task)
      this.underWay.delete(task.index)
      this.note()
    }
  }

  private async runOne(task: ShardTask): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        this.complete(await this.runner.run(task, this.runOptions(task)))
        return this.outage.over()
      } catch (error) {
        if (this.budget.signal.aborted) return
        if (error instanceof EnvironmentError) return this.putOff(task, error)
        // A shard that cannot be read stays so, and shows that the machine works.
        if (error instanceof UserError) this.outage.over()
        else if (attempt < this.options.tries) continue
        this.failed.push({ task, reason: messageOf(error) })
        return
      }
    }
  }

  /**
   * Others come first: where it is for the sake of one shard, theirs need not wait. One whose worker died is begun again
   * right after the pause, so that a shard which kills its workers is found out before the next one does.
   */
  private async putOff(task: ShardTask, error: EnvironmentError): Promise<void> {
    const isDeath = error instanceof WorkerDeath
    if (!isDeath) this.pending.unshift(task)
    const goesOn = await this.outage.wait(error.message)
    if (isDeath) this.pending.push(task)
    if (!goesOn) this.broken ??= error
  }

  private complete(result: ShardResult): void {
    this.results.set(result.index, result)
    this.samples += result.samples
    this.dropped += droppedIn(result.problems)
  }

  private runOptions({ index }: ShardTask) {
    const onProgress = (samples: number) => {
      this.underWay.set(index, samples)
      this.note()
    }
    return { signal: this.budget.signal, onProgress }
  }

  private note(): void {
    const failures = this.dropped + this.failed.length
    this.options.onState?.({
      shards: this.tasks.length,
      shardsDone: this.results.size + this.failed.length,
      samples: [...this.underWay.values()].reduce((sum, count) => sum + count, this.samples),
      failures,
    })
    if (failures > this.options.maxFailures) this.budget.abort()
  }
}

/** Throws where a run stopped, other than for a signal: UserError for too many failures, EnvironmentError for the machine. */
export function requireNotStopped({ stopped, outage, ...outcome }: RunOutcome, folder: string, most: number): void {
  if (stopped === "too many failures") {
    throw new UserError(
      `stopped: ${leftOutOf(outcome)} samples and shards had to be left out, and --max-failures is ${most}`,
      `${folder}/failures.jsonl says why; the same command goes on`,
    )
  }
  if (outage) throw new EnvironmentError(`stopped: ${outage.message}`, "the same command goes on when that is mended")
}

/** Samples and shards that are not in the output. */
export function leftOutOf({ results, failed }: Pick<RunOutcome, "results" | "failed">): number {
  return results.reduce((sum, { problems }) => sum + droppedIn(problems), failed.length)
}

/** Throws UserError also where something was left out. */
export function requireComplete(outcome: RunOutcome, folder: string): void {
  requireNotStopped(outcome, folder, Number.POSITIVE_INFINITY)
  const leftOut = leftOutOf(outcome)
  if (leftOut > 0) {
    throw new UserError(`${leftOut} samples and shards had to be left out`, `${folder}/failures.jsonl says why`)
  }
}

export function droppedIn(problems: ShardResult["problems"]): number {
  return problems.filter(({ action }) => action === "dropped").length
}
