/** Work on shards, one at a time: what the local pool and the distributed worker share. */
import { EnvironmentError } from "../core/errors.ts"
import type { Problem } from "../data/reinforced/sample.ts"

export interface ShardTask {
  /** Place in the plan, from 0. */
  readonly index: number
  /** URLs of the shard to read and of the one to write. */
  readonly input: string
  readonly output: string
}

export interface ShardResult {
  readonly index: number
  readonly input: string
  readonly output: string
  /** Samples in the output. */
  readonly samples: number
  /** Samples that were left out, and other things worth knowing. */
  readonly problems: readonly Problem[]
  /** Size and hash of the output file. */
  readonly bytes: number
  readonly sha256: string
  /** Identity of the models that made it. */
  readonly models: string
  /** Wall time of the work. */
  readonly seconds: number
}

export interface RunOptions {
  /** Abandons the shard: nothing of it is written. */
  readonly signal?: AbortSignal
  /** Samples of this shard done so far, now and then. */
  readonly onProgress?: (samples: number) => void
  /** Told now and then while bytes of the shard move, which may take long before the first sample and after the last. */
  readonly onActivity?: () => void
}

/** A process that worked on a shard was killed: by the system, by a person, or by the shard. */
export class WorkerDeath extends EnvironmentError {}

export interface ShardRunner extends AsyncDisposable {
  /** Shards that it works on at the same time. */
  readonly slots: number
  /**
   * Writes the output and its completion record (unless its caller does), whole or not at all, and repeatably: the same
   * task gives the same bytes. Rejects with an EnvironmentError where this machine is at fault, with another UserError where the shard is,
   * and with any error where the work broke off.
   */
  run(task: ShardTask, options?: RunOptions): Promise<ShardResult>
}

/** A runner that says which models it has opened, in the words of its results' `models`. */
export interface ModelRunner extends ShardRunner {
  readonly identity: string
  /** Where `run` leaves the completion record to its caller: writes it, when the result was accepted. */
  record?(result: ShardResult): Promise<void>
  /** Takes away what was written for a result that was not accepted. */
  discard?(result: ShardResult): Promise<void>
}
