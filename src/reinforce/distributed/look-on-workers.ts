/** Shards looked at on the machines of a NATS server: what `reinforce run verify` and `reinforce run stats` do. */
import { createHash } from "node:crypto"
import { resolve } from "node:path"
import { UserError } from "../../core/errors.ts"
import { mapOrdered } from "../../core/parallel.ts"
import { stampOf } from "../../data/sample-index/index-file.ts"
import { pathOf } from "../../data/stores/local.ts"
import { isLocal, openStorage } from "../../data/stores/open.ts"
import type { Storage } from "../../data/stores/storage.ts"
import type { LookJob } from "../job/job.ts"
import { lockOutput } from "../job/output.ts"
import { planShards } from "../job/plan.ts"
import type { RunOutcome } from "../local/run-shards.ts"
import type { ShardTask } from "../runner.ts"
import type { Shard, ShardSet } from "../tools/find-shards.ts"
import { damaged } from "../tools/look-file.ts"
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
  requireOutside(shards, output)
  using _ = await lockOutput(output, "run", options.signal)
  return verifyBy(shards, options, (settings, set) =>
    lookOnWorkers<"verify">(nats, { kind: "verify", ...settings }, set, output, options),
  )
}

/**
 * The report of `shardStats`, for which workers count what is in the shards; samples are compared, and drawn, here. What is
 * counted in each is kept in `output`, so the same call goes on where one was stopped. Throws UserError where the shards have
 * changed since.
 *
 * @param output a folder or the URL of one, neither that of the shards nor in it
 */
export async function statsOnWorkers(
  nats: NatsSettings,
  shards: string | readonly string[],
  output: string,
  options: StatsOnWorkersOptions = {},
): Promise<StatsReport> {
  requireOutside(shards, output)
  using _ = await lockOutput(output, "run", options.signal)
  return statsBy(shards, options, (settings, set) =>
    lookOnWorkers<"stats">(nats, { kind: "stats", ...settings }, set, output, options),
  )
}

async function* lookOnWorkers<Name extends LookName>(
  nats: NatsSettings,
  look: Omit<Extract<LookJob, { kind: Name }>, "folder" | "shards">,
  { folder, shards }: ShardSet,
  output: string,
  options: QueueOptions,
): AsyncGenerator<FoundBy<Name>> {
  const storage = openStorage()
  const job = { ...look, folder, shards: await stateOf(storage, shards) } as Extract<LookJob, { kind: Name }>
  const urls = shards.map(({ url }) => url)
  const tasks = planShards(urls, output, { output: "jsonl" })
  const name = options.name ?? jobName(job.kind, output)
  const outcome = await workOff(nats, { name, job, output, tasks }, options)
  yield* foundBy<Name>(job.kind, storage, tasks, outcome)
}

/** What is found would count as shards that nobody recorded. */
function requireOutside(shards: string | readonly string[], output: string): void {
  const place = (url: string) => (isLocal(url) ? resolve(pathOf(url)) : url.replace(/\/+$/, ""))
  const folder = [shards].flat().find((outer) => place(output).startsWith(`${place(outer)}/`))
  if (folder === undefined) return
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

/** In the order of the shards. Files must be those that were recorded. */
async function* foundBy<Name extends LookName>(
  name: Name,
  storage: Storage,
  tasks: readonly ShardTask[],
  { failed, results }: RunOutcome,
): AsyncGenerator<FoundBy<Name>> {
  const { decode, unread } = lookOf(name)
  const reasons = new Map(failed.map(({ task, reason }) => [task.index, reason]))
  const recorded = new Map(results.map(({ index, sha256 }) => [index, sha256]))
  yield* mapOrdered(tasks, parallelRequests, async ({ index, output }) => {
    const reason = reasons.get(index)
    if (reason !== undefined) return unread(reason)
    const file = (await storage.readBytes(output)) ?? new Uint8Array()
    if (createHash("sha256").update(file).digest("hex") !== recorded.get(index)) throw damaged(output)
    return decode(file, output)
  })
}

/** Files that are read at a time. */
const parallelRequests = 32
