/**
 * What parks a shard, where parked ones are kept, and the way back for them.
 *
 * A delivery counts as a try unless a worker gave it back: as it left, or as its machine failed (an EnvironmentError),
 * which is not held against the shard before many machines did.
 */
import type { ShardTask } from "../../runner.ts"
import { deleteEntry } from "./entries.ts"
import { publishTask, purgeUndeliverable } from "./queue.ts"
import { answered, bucketStream, entryName, indicesOf, isPresent, keySubject, type QueuedJob } from "./queued-job.ts"
import { type Attempts, type JobPolicy, type Note, type ParkedShard, readRecord, schemas } from "./records.ts"

/** Failures of a shard that are kept. */
const keptFailures = 20

/** Machines that must fail on a shard before it is parked for that, however few tries are allowed. */
const fewestMachines = 3

/** Times that machines may fail on a shard before it is parked, for each try that is allowed. */
const outagesPerTry = 10

/** Longest time between two tries, in seconds. */
const longestRetry = 300

/** What is wrong: the shard, as the runner says; a machine; or a fault of ours. */
export type Cause = "input" | "environment" | "fault"

/** Why a shard is parked. */
export interface Parking {
  readonly kind: "parked"
  readonly reason: string
  /** Deliveries that failed. */
  readonly tries: number
  readonly cause: Cause
}

/** What becomes of a delivery that failed: the shard is parked, tried again, or back as it was because its machine failed. */
export type Verdict =
  | Parking
  | { readonly kind: "failed"; readonly reason: string; readonly tries: number; readonly cause: Cause }
  | { readonly kind: "returned"; readonly reason: string }

interface Judged {
  readonly verdict: Verdict
  /** With this delivery; `retrySeconds` until the next one, where it is not parked. */
  readonly attempts: Attempts
  readonly retrySeconds: number
}

interface Failed {
  readonly cause: Cause
  readonly reason: string
  readonly worker: string
  /** The name that the worker's machine goes by. */
  readonly machine: string
}

/** Null where the shard may be tried once more: the deliveries before this one were not too many. */
export function parkedBefore(attempts: Attempts, deliveries: number, { maxTries }: JobPolicy): Parking | null {
  const before = triesOf(deliveries, attempts) - 1
  return before < maxTries
    ? null
    : { kind: "parked", reason: lastReason(attempts, before), tries: before, cause: "input" }
}

export function judge(attempts: Attempts, deliveries: number, failed: Failed, policy: JobPolicy): Judged {
  return failed.cause === "environment"
    ? judgeOutage(attempts, failed, policy)
    : judgeTry(attempts, triesOf(deliveries, attempts), failed, policy)
}

function judgeTry(attempts: Attempts, tries: number, { cause, reason, worker }: Failed, policy: JobPolicy): Judged {
  const failures = [...attempts.failures, { worker, reason, at: Date.now() }].slice(-keptFailures)
  const kind = tries >= policy.maxTries ? "parked" : "failed"
  return {
    verdict: { kind, reason, tries, cause },
    attempts: { ...attempts, failures },
    retrySeconds: retrySeconds(tries, policy),
  }
}

/** The machine failed: the shard goes back, not at once, so that other machines come first. */
function judgeOutage(before: Attempts, { reason, machine }: Failed, policy: JobPolicy): Judged {
  const others = before.outagesBy.filter((outage) => outage.machine !== machine)
  const outagesBy = [...others, { machine, reason, at: Date.now() }]
  const outages = before.outages + 1
  const attempts = { ...before, released: before.released + 1, outages, outagesBy }
  const isParked =
    outagesBy.length >= Math.max(policy.maxTries, fewestMachines) || outages >= outagesPerTry * policy.maxTries
  const many = `it failed ${outages} times on ${outagesBy.length} machines for their sake, the last time with: ${reason}`
  const verdict: Verdict = isParked
    ? { kind: "parked", reason: many, tries: outages, cause: "environment" }
    : { kind: "returned", reason }
  return { verdict, attempts, retrySeconds: retrySeconds(outages, policy) }
}

/** Deliveries that count, the present one among them. */
function triesOf(deliveries: number, { released }: Attempts): number {
  return Math.max(1, deliveries - released)
}

function retrySeconds(times: number, policy: JobPolicy): number {
  return Math.min(policy.retrySeconds * 2 ** (times - 1), longestRetry)
}

function lastReason({ failures }: Attempts, tries: number): string {
  const silent = tries - failures.length
  if (silent <= 0) return failures.at(-1)?.reason ?? "unknown"
  const died = `${silent} of ${tries} tries ended without a word: the worker died or lost its connection`
  return failures.length > 0 ? `${died}; before: ${failures.at(-1)!.reason}` : died
}

export function parkedShard(
  task: ShardTask,
  { reason, tries }: Parking,
  { failures, outagesBy }: Attempts,
): ParkedShard {
  const outages = outagesBy.map(({ machine, ...outage }) => ({ worker: machine, ...outage }))
  const kept = [...failures, ...outages].slice(-keptFailures)
  return { index: task.index, task, reason, tries, failures: kept, at: Date.now() }
}

export async function storeParked(job: QueuedJob, parked: ParkedShard, signal: AbortSignal): Promise<void> {
  await answered(job, () => job.control.put(parkedKey(parked.index), JSON.stringify(parked)), signal)
}

interface ParkedEntry {
  readonly index: number
  /** Null where it cannot be read. */
  readonly shard: ParkedShard | null
  readonly revision: number
}

function parkedKey(index: number): string {
  return `parked.${index}`
}

export function attemptsKey(index: number): string {
  return `attempts.${index}`
}

/** In the order of their indices. Shards whose entry cannot be read count as not parked. */
export async function parkedShards(job: QueuedJob, note: Note): Promise<ParkedShard[]> {
  return (await parkedEntries(job, note)).flatMap(({ shard }) => shard ?? [])
}

export interface Retried {
  /** Shards that are back in the queue. */
  readonly queued: number
  /** Shards that are no longer parked, and whose messages only `publishJob` knows. */
  readonly forgotten: number
}

/**
 * Puts parked shards back into the queue, as if they had never been tried. One that a worker is parking at this moment
 * stays parked.
 */
export async function retryParked(job: QueuedJob, note: Note = () => {}): Promise<Retried> {
  // A message that is never delivered would keep its shard from being queued.
  await answered(job, () => purgeUndeliverable(job))
  const retried = { queued: 0, forgotten: 0 }
  for (const { index, shard, revision } of await answered(job, () => parkedEntries(job, note))) {
    await answered(job, () => job.control.delete(attemptsKey(index)))
    const task = shard?.task ?? null
    if (task && !(await publishTask(job, task))) continue
    if (await deleteEntry(job, "control", parkedKey(index), revision)) retried[task ? "queued" : "forgotten"]++
  }
  return retried
}

/** Those that were parked at some time; some may be back in the queue. */
async function parkedIndices(job: QueuedJob): Promise<Set<number>> {
  return indicesOf(job, bucketStream(job.name, "control"), keySubject(job.name, "control", "parked.*"))
}

async function parkedEntries(job: QueuedJob, note: Note): Promise<ParkedEntry[]> {
  const indices = [...(await parkedIndices(job))].sort((a, b) => a - b)
  const entries = await Promise.all(
    indices.map(async (index) => ({ index, entry: await job.control.get(parkedKey(index)) })),
  )
  return entries.flatMap(({ index, entry }) => {
    if (!isPresent(entry)) return []
    const shard = readRecord(schemas.parked, entry, entryName(job, entry.key), note)
    const isOfShard = shard?.index === index && (shard.task?.index ?? index) === index
    if (shard && !isOfShard) note(`${entryName(job, entry.key)} on the server is of another shard`)
    return { index, shard: isOfShard ? shard : null, revision: entry.revision }
  })
}
