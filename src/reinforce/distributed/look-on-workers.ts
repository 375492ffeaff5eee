/** Shards looked at on the machines of a NATS server: what `reinforce run verify` and `reinforce run stats` do. */
import { mapOrdered } from "../../core/parallel.ts"
import { openStorage } from "../../data/stores/open.ts"
import type { Storage } from "../../data/stores/storage.ts"
import type { LookJob } from "../job/job.ts"
import { lockOutput } from "../job/output.ts"
import { planShards } from "../job/plan.ts"
import type { RunOutcome } from "../local/run-shards.ts"
import type { ShardTask } from "../runner.ts"
import type { ShardSet } from "../tools/find-shards.ts"
import { type FoundBy, type LookName, lookOf } from "../tools/looks.ts"
import { type StatsReport, statsBy } from "../tools/stats/stats.ts"
import type { StatsOptions, VerifyOptions } from "../tools/tool-options.ts"
import { type VerifyReport, verifyBy } from "../tools/verify/verify.ts"
import { jobName, type PublishOptions, workOff } from "./fleet.ts"
import type { NatsSettings } from "./server/nats-settings.ts"

type QueueOptions = Omit<PublishOptions, "chooseType">

export interface VerifyOnWorkersOptions extends Omit<VerifyOptions, "workers">, QueueOptions {}

export interface StatsOnWorkersOptions extends Omit<StatsOptions, "workers">, QueueOptions {}

/**
 * The report of `verifyShards`, for which workers look at the shards; samples are made again here. What is found in each is
 * kept in `output`, so the same call goes on where one was stopped.
 *
 * @param output a folder or the URL of one, other than that of the shards
 */
export async function verifyOnWorkers(
  nats: NatsSettings,
  shards: string | readonly string[],
  output: string,
  options: VerifyOnWorkersOptions = {},
): Promise<VerifyReport> {
  using _ = await lockOutput(output, "run", options.signal)
  return verifyBy(shards, options, (settings, set) =>
    lookOnWorkers<"verify">(nats, { kind: "verify", folder: set.folder, ...settings }, set, output, options),
  )
}

/**
 * The report of `shardStats`, for which workers count what is in the shards; samples are compared, and drawn, here. What is
 * counted in each is kept in `output`, so the same call goes on where one was stopped.
 *
 * @param output a folder or the URL of one, other than that of the shards
 */
export async function statsOnWorkers(
  nats: NatsSettings,
  shards: string | readonly string[],
  output: string,
  options: StatsOnWorkersOptions = {},
): Promise<StatsReport> {
  using _ = await lockOutput(output, "run", options.signal)
  return statsBy(shards, options, (settings, set) =>
    lookOnWorkers<"stats">(nats, { kind: "stats", folder: set.folder, ...settings }, set, output, options),
  )
}

async function* lookOnWorkers<Name extends LookName>(
  nats: NatsSettings,
  job: Extract<LookJob, { kind: Name }>,
  { shards }: ShardSet,
  output: string,
  options: QueueOptions,
): AsyncGenerator<FoundBy<Name>> {
  const urls = shards.map(({ url }) => url)
  const tasks = planShards(urls, output, { output: "jsonl" })
  const name = options.name ?? jobName(job.kind, output)
  const outcome = await workOff(nats, { name, job, output, tasks }, options)
  yield* foundBy<Name>(job.kind, openStorage(), tasks, outcome)
}

/** In the order of the shards. */
async function* foundBy<Name extends LookName>(
  name: Name,
  storage: Storage,
  tasks: readonly ShardTask[],
  { failed }: RunOutcome,
): AsyncGenerator<FoundBy<Name>> {
  const { decode, unread } = lookOf(name)
  const reasons = new Map(failed.map(({ task, reason }) => [task.index, reason]))
  yield* mapOrdered(tasks, parallelRequests, async ({ index, output }) => {
    const reason = reasons.get(index)
    if (reason !== undefined) return unread(reason)
    return decode((await storage.readBytes(output)) ?? new Uint8Array(), output)
  })
}

/** Files that are read at a time. */
const parallelRequests = 32
