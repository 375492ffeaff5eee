/** A look at each of many shards, in this process or in several. */
import { fileURLToPath } from "node:url"
import { EnvironmentError, messageOf, UserError } from "../../core/errors.ts"
import { mapOrdered } from "../../core/parallel.ts"
import { openStorage } from "../../data/stores/open.ts"
import type { Storage } from "../../data/stores/storage.ts"
import { usableProcessors } from "../../host/processors.ts"
import { workerFile } from "../../host/worker-file.ts"
import { ProcessPool } from "../pool/process-pool.ts"
import { WorkerDeath } from "../runner.ts"
import type { Shard } from "./find-shards.ts"
import { countShard } from "./stats/count-shard.ts"
import { checkShard } from "./verify/check-shard.ts"

type Look<Settings, Result> = (
  storage: Storage,
  shard: Shard,
  settings: Settings,
  options: { readonly signal?: AbortSignal | undefined },
) => Promise<Result>

/** What may be found out of a shard by itself. */
const looks = { verify: checkShard, stats: countShard } as const

export type LookName = keyof typeof looks
type SettingsOf<Name extends LookName> = Parameters<(typeof looks)[Name]>[2]
type ResultOf<Name extends LookName> = Awaited<ReturnType<(typeof looks)[Name]>>

/** What a process is told when it starts. */
export interface LookSettings {
  readonly look: LookName
  readonly settings: unknown
}

export interface ShardLook {
  readonly input: string
  readonly shard: Shard
}

export function lookOf(name: LookName): Look<unknown, unknown> {
  return looks[name] as Look<unknown, unknown>
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
): AsyncGenerator<ResultOf<Name>> {
  const processes = Math.max(1, Math.min(workers ?? usableProcessors().count, shards.length))
  if (processes === 1) {
    const [look, storage] = [lookOf(name), openStorage()]
    for (const shard of shards) yield (await look(storage, shard, settings, { signal })) as ResultOf<Name>
    return
  }
  await using pool = await openPool<ResultOf<Name>>({ look: name, settings }, processes)
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
