/** The program of a process that looks at shards for a job on a server, and writes what it finds in each. */
import { isInputError } from "../../core/errors.ts"
import { isLocal, openStorage } from "../../data/stores/open.ts"
import type { Storage } from "../../data/stores/storage.ts"
import type { LookJob } from "../job/job.ts"
import { outputName, ShardOutput } from "../job/output.ts"
import { fetchInput } from "../local/input.ts"
import { serveShards } from "../pool/serve.ts"
import type { RunOptions, ShardResult, ShardTask } from "../runner.ts"
import { readShard, type Shard } from "./find-shards.ts"
import type { LookPoolSettings } from "./look-pool.ts"
import { lookOf } from "./looks.ts"

serveShards(async (given) => {
  const { job, output } = given as LookPoolSettings
  const storage = openStorage()
  // No models: every process finds the same.
  return { identity: job.kind, run: (task, options) => writeLook(storage, job, output, task, options) }
})

async function writeLook(
  storage: Storage,
  job: LookJob,
  folder: string,
  task: ShardTask,
  { signal, onActivity }: RunOptions,
): Promise<ShardResult> {
  const started = performance.now()
  const shard = await shardOf(storage, job, task.input)
  const { look, encode } = lookOf(job.kind)
  const found = await look(storage, shard, job, { signal, onSample: onActivity })
  const written = await new ShardOutput(storage, task.output, folder).put([encode(found)], { signal })
  const seconds = (performance.now() - started) / 1000
  return { ...task, samples: found.samples, problems: [], ...written, models: job.kind, seconds }
}

async function shardOf(storage: Storage, { folder }: LookJob, url: string): Promise<Shard> {
  await requireMounted(storage, url)
  return folder === null
    ? { name: url, url, record: null }
    : readShard(storage, folder, outputName({ output: url }, folder))
}

/** A share that is away is this machine's fault. A shard that is missing is not: that is found out of it. */
async function requireMounted(storage: Storage, url: string): Promise<void> {
  if (!isLocal(url)) return
  try {
    await using _ = await fetchInput(storage, url)
  } catch (error) {
    if (!isInputError(error)) throw error
  }
}
