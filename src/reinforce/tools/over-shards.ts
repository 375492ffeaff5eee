/** A look at each of many shards, in this process or in several. */
import { fileURLToPath } from "node:url"
import { EnvironmentError, messageOf, UserError } from "../../core/errors.ts"
import { mapOrdered } from "../../core/parallel.ts"
import { openStorage } from "../../data/stores/open.ts"
import { usableProcessors } from "../../host/processors.ts"
import { workerFile } from "../../host/worker-file.ts"
import { ProcessPool } from "../pool/process-pool.ts"
import { WorkerDeath } from "../runner.ts"
import type { Shard } from "./find-shards.ts"
import { type FoundBy, type LookName, lookOf, type SettingsOf } from "./looks.ts"

/** What a process is told when it starts. */
export interface LookSettings {
  readonly look: LookName
  readonly settings: SettingsOf<LookName>
}

export interface ShardLook {
  readonly input: string
  readonly shard: Shard
}

interface OverShardsOptions {
  /** Processes. Default: one for each processor, and no more than there are shards. */
  readonly workers?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** Results for each process that wait for those of earlier shards. */
const ahead = 4

/**
 * What is found in each shard, in the order of the shards.
 *
 * @throws EnvironmentError where the machine fails, UserError that names the shard where processes die of it, the signal's reason
 */
export async function* overShards<Name extends LookName>(
  name: Name,
  settings: SettingsOf<Name>,
  shards: readonly Shard[],
  { workers, signal }: OverShardsOptions,
): AsyncGenerator<FoundBy<Name>> {
  const processes = Math.max(1, Math.min(workers ?? usableProcessors().count, shards.length))
  if (processes === 1) {
    const [{ look }, storage] = [lookOf(name), openStorage()]
    for (const shard of shards) yield await look(storage, shard, settings, { signal })
    return
  }
  await using pool = await openPool<FoundBy<Name>>({ look: name, settings }, processes)
  for await (const result of mapOrdered(shards, ahead * processes, (shard) => lookIn(pool, shard, signal))) {
    signal?.throwIfAborted()
    yield result
  }
}

function openPool<Result>(settings: LookSettings, processes: number): Promise<ProcessPool<ShardLook, Result>> {
  const program = fileURLToPath(workerFile(import.meta.url, "look-program"))
  return ProcessPool.open<ShardLook, Result>({ program, settings, processes })
}

/** Where a process was killed, the shard is looked at again, until the pool says that it is the shard's fault. */
async function lookIn<Result>(
  pool: ProcessPool<ShardLook, Result>,
  shard: Shard,
  signal: AbortSignal | undefined,
): Promise<Result> {
  for (;;) {
    try {
      return await pool.run({ input: shard.url, shard }, signal ? { signal } : {})
    } catch (error) {
      signal?.throwIfAborted()
      if (error instanceof WorkerDeath) continue
      throw error instanceof UserError ? error : ended(shard, error)
    }
  }
}

function ended({ name }: Shard, cause: unknown): EnvironmentError {
  return new EnvironmentError(`${name}: ${messageOf(cause)}`, undefined, { cause })
}
