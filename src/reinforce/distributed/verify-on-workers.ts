/** Shards looked at on the machines of a NATS server: what `reinforce run verify` does. */
import { createHash } from "node:crypto"
import { resolve } from "node:path"
import { UserError } from "../../core/errors.ts"
import { mapOrdered } from "../../core/parallel.ts"
import { stampOf } from "../../data/sample-index/index-file.ts"
import { pathOf } from "../../data/stores/local.ts"
import { isLocal, openStorage } from "../../data/stores/open.ts"
import type { Storage } from "../../data/stores/storage.ts"
import type { CheckJob } from "../job/job.ts"
import { lockOutput } from "../job/output.ts"
import { planShards } from "../job/plan.ts"
import type { RunOutcome } from "../local/run-shards.ts"
import type { ShardTask } from "../runner.ts"
import type { Shard } from "../tools/find-shards.ts"
import type { VerifyOptions } from "../tools/tool-options.ts"
import { damagedCheck, decodeCheck } from "../tools/verify/check-file.ts"
import type { ShardCheck } from "../tools/verify/check-shard.ts"
import { type VerifyReport, verifyBy } from "../tools/verify/verify.ts"
import { jobName, type PublishOptions, workOff } from "./fleet.ts"
import type { NatsSettings } from "./server/nats-settings.ts"

export interface VerifyOnWorkersOptions extends Omit<VerifyOptions, "workers">, Omit<PublishOptions, "chooseType"> {}

/**
 * The report of `verifyShards`, for which workers look at the shards; samples are made again here. What is found in each is
 * kept in `output`, so the same call goes on where one was stopped. Throws UserError where the shards have changed since.
 *
 * @param output a folder or the URL of one, neither that of the shards nor in it
 */
export async function verifyOnWorkers(
  nats: NatsSettings,
  shards: string | readonly string[],
  output: string,
  options: VerifyOnWorkersOptions = {},
): Promise<VerifyReport> {
  for (const folder of [shards].flat()) requireOutside(folder, output)
  using _ = await lockOutput(output, "run", options.signal)
  return verifyBy(shards, options, async function* (settings, { folder, shards }) {
    const job: CheckJob = { kind: "verify", folder, shards: await stateOf(openStorage(), shards), ...settings }
    const tasks = planShards(
      shards.map(({ url }) => url),
      output,
      { output: "jsonl" },
    )
    const name = options.name ?? jobName(job.kind, output)
    const outcome = await workOff(nats, { name, job, output, tasks }, options)
    yield* checksOf(openStorage(), tasks, outcome)
  })
}

/** What is found would count as shards that nobody recorded. */
function requireOutside(folder: string, output: string): void {
  const [outer, inner] = [folder, output].map((url) => (isLocal(url) ? resolve(pathOf(url)) : url.replace(/\/+$/, "")))
  if (!inner!.startsWith(`${outer}/`)) return
  throw new UserError(`${output} is in ${folder}, where its files would count as shards`, "name a folder outside of it")
}

/** A hash that changes when a shard is replaced: by its record, size and time, or the tag that its server gives it. */
async function stateOf(storage: Storage, shards: readonly Shard[]): Promise<string> {
  const hash = createHash("sha256")
  const states = mapOrdered(shards, parallelRequests, async ({ name, url, record }) => {
    const found = await storage.stat(url)
    const time = found && isLocal(url) ? stampOf(pathOf(url)).mtime : found?.tag
    return [name, record?.sha256, found?.bytes, time]
  })
  for await (const state of states) hash.update(JSON.stringify(state))
  return hash.digest("hex").slice(0, 16)
}

/** In the order of the shards. One that nobody could look at is a problem of its own. Files must be those that were recorded. */
async function* checksOf(
  storage: Storage,
  tasks: readonly ShardTask[],
  { failed, results }: RunOutcome,
): AsyncGenerator<ShardCheck> {
  const reasons = new Map(failed.map(({ task, reason }) => [task.index, reason]))
  const recorded = new Map(results.map(({ index, sha256 }) => [index, sha256]))
  yield* mapOrdered(tasks, parallelRequests, async ({ index, output }) => {
    const reason = reasons.get(index)
    if (reason !== undefined) return unchecked(reason)
    const file = (await storage.readBytes(output)) ?? new Uint8Array()
    if (createHash("sha256").update(file).digest("hex") !== recorded.get(index)) throw damagedCheck(output)
    return decodeCheck(file, output)
  })
}

function unchecked(reason: string): ShardCheck {
  return { samples: 0, problems: [{ at: 0, key: null, reason }], hashes: new Uint32Array(0), chosen: [] }
}

/** Files that are read at a time. */
const parallelRequests = 32
