/** The program of a process that looks at shards for a job on a server, and writes what it finds in each. */
import { isInputError } from "../../../core/errors.ts"
import { isLocal, openStorage } from "../../../data/stores/open.ts"
import type { Storage } from "../../../data/stores/storage.ts"
import type { CheckJob } from "../../job/job.ts"
import { outputName, ShardOutput } from "../../job/output.ts"
import { fetchInput } from "../../local/input.ts"
import { serveShards } from "../../pool/serve.ts"
import type { RunOptions, ShardResult, ShardTask } from "../../runner.ts"
import { readShard, type Shard } from "../find-shards.ts"
import { encodeCheck } from "./check-file.ts"
import type { CheckPoolSettings } from "./check-pool.ts"
import { checkShard } from "./check-shard.ts"

/** No models: every process finds the same. */
const identity = "verify"

serveShards(async (given) => {
  const { job, output } = given as CheckPoolSettings
  const storage = openStorage()
  return { identity, run: (task, options) => writeCheck(storage, job, output, task, options) }
})

async function writeCheck(
  storage: Storage,
  job: CheckJob,
  folder: string,
  task: ShardTask,
  { signal, onActivity }: RunOptions,
): Promise<ShardResult> {
  const started = performance.now()
  const shard = await shardOf(storage, job, task.input)
  const check = await checkShard(storage, shard, job, { signal, onSample: onActivity })
  const written = await new ShardOutput(storage, task.output, folder).put([encodeCheck(check)], { signal })
  const seconds = (performance.now() - started) / 1000
  return { ...task, samples: check.samples, problems: [], ...written, models: identity, seconds }
}

async function shardOf(storage: Storage, { folder }: CheckJob, url: string): Promise<Shard> {
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
