/**
 * What is done of a job, kept beside its output so that any machine can go on: `config.json` holds the job, and
 * `_done/<shard>.json` appears after each shard that is complete.
 */
import { resolve } from "node:path"
import { z } from "zod"
import { UserError } from "../../core/errors.ts"
import { mapOrdered } from "../../core/parallel.ts"
import { parseJsonText } from "../../data/json-text.ts"
import { shardLikeLists } from "../../data/reinforced/tar/side-files.ts"
import { pathOf } from "../../data/stores/local.ts"
import { isLocal } from "../../data/stores/open.ts"
import type { Storage } from "../../data/stores/storage.ts"
import type { RuntimeRecord } from "../../teachers/choose-runtime.ts"
import type { ShardResult, ShardTask } from "../runner.ts"
import { isSameJob, requireSameJob } from "./compare.ts"
import type { AnyJob } from "./job.ts"
import { joinUrl, outputName, requireNotLinkedOut } from "./output.ts"

/** What is written beside the shards at the end. */
const sideFiles = [...shardLikeLists, "info.json", "checkpoint.json", "join.json"]

/** Requests under way at a time; an object store answers each in some 50 ms. */
const parallelRequests = 32

interface JobRecord {
  readonly format: "mobileclip-reinforce"
  readonly job: AnyJob
  /** Its name on a server, whose workers may go on after the process that queued it. */
  readonly queue?: string
  /** The server's id. */
  readonly server?: string
  /** What was found to compute embeddings with, where the job's type of weights was chosen or tried. */
  readonly runtime?: RuntimeRecord
}

/** A job on a server that has accepted it. */
interface Queue {
  readonly name: string
  /** Its id; absent: not known yet. */
  readonly server?: string
}

/** A join's records say more. */
const resultSchema = z.looseObject({
  index: z.int().nonnegative(),
  input: z.string(),
  output: z.string(),
  samples: z.int().nonnegative(),
  problems: z.array(z.object({ key: z.string().nullable(), reason: z.string(), action: z.enum(["dropped", "kept"]) })),
  bytes: z.int().nonnegative(),
  sha256: z.string(),
  models: z.string(),
  seconds: z.number().nonnegative(),
}) satisfies z.ZodType<ShardResult>

export class Ledger {
  private constructor(
    private readonly storage: Storage,
    readonly folder: string,
  ) {}

  /**
   * The ledger of a job in `folder`, begun or gone on with. A job that has made no shard gives way to another one where it
   * is known that nobody works on it: never in a store, and one of a server only to one of the same name on that server.
   *
   * @param tasks none: for those who work on a job, which is the one of the folder
   * @param queue the job on a server that has accepted it; none: for work without a server
   * @param runtime is recorded where the job begins
   * @throws UserError where the folder is of another job, or a job that begins would replace files that no job wrote
   */
  static async open(
    storage: Storage,
    folder: string,
    job: AnyJob,
    tasks: readonly Pick<ShardTask, "output">[] = [],
    queue?: Queue,
    runtime?: RuntimeRecord,
  ): Promise<Ledger> {
    const record = await Ledger.check(storage, folder, job, tasks, queue)
    if (record) await storage.put(joinUrl(folder, "config.json"), [json({ ...(runtime && { runtime }), ...record })])
    return new Ledger(storage, folder)
  }

  /** What `open` would write, null for nothing; throws as it does, and changes nothing. */
  static async check(
    storage: Storage,
    folder: string,
    job: AnyJob,
    tasks: readonly Pick<ShardTask, "output">[],
    queue?: Queue,
  ): Promise<JobRecord | null> {
    const before = await readRecord(storage, folder)
    const place = queue && { queue: queue.name, ...(queue.server !== undefined && { server: queue.server }) }
    const record: JobRecord = { format: "mobileclip-reinforce", job, ...place }
    if (before === null) await requireAbsent(storage, folder, tasks, sideFiles, notOfAJob)
    else if (isSameJob(before.job, job))
      return place === undefined || isSameQueue(before, place) ? null : { ...before, ...place }
    else if (tasks.length === 0 || !isLeft(before, folder, queue) || (await hasShards(storage, folder)))
      requireSameJob(before.job, job, folder)
    else await requireAbsent(storage, folder, tasks, [], withoutRecord)
    return record
  }

  /** The results of those tasks that are complete, with outputs that are there in full. */
  async completed(tasks: readonly ShardTask[]): Promise<Map<number, ShardResult>> {
    const names = new Set(await this.storage.list(joinUrl(this.folder, "_done")))
    const begun = tasks.filter((task) => names.has(recordName(task, this.folder)))
    const results = new Map<number, ShardResult>()
    for await (const found of mapOrdered(begun, parallelRequests, (task) => this.read(task))) {
      if (found) results.set(found.index, found)
    }
    return results
  }

  /** @param input what the record says of the input; those who work in another folder than the job's keep its own text */
  async record(result: ShardResult, input = placeOf(result.input)): Promise<void> {
    await requireNotLinkedOut(this.recordUrl(result), this.folder)
    await this.storage.put(this.recordUrl(result), [json({ ...result, input })])
  }

  /** Null where there is no record, it is not readable, it is of another input, or the output is not the one it speaks of. */
  async read(task: ShardTask): Promise<ShardResult | null> {
    const bytes = await this.storage.readBytes(this.recordUrl(task))
    const result: ShardResult | undefined = bytes ? resultSchema.safeParse(parse(bytes)).data : undefined
    if (!result || placeOf(result.input) !== placeOf(task.input)) return null
    const output = await this.storage.stat(task.output)
    return (output?.bytes ?? 0) === result.bytes
      ? { ...result, index: task.index, input: task.input, output: task.output }
      : null
  }

  private recordUrl(task: Pick<ShardTask, "output">): string {
    return joinUrl(this.folder, `_done/${recordName(task, this.folder)}`)
  }
}

/** The job that `folder` was begun with, or null. Throws UserError where its config.json is of something else. */
export async function readJob(storage: Storage, folder: string): Promise<AnyJob | null> {
  return (await readRecord(storage, folder))?.job ?? null
}

async function readRecord(storage: Storage, folder: string): Promise<JobRecord | null> {
  const url = joinUrl(folder, "config.json")
  const bytes = await storage.readBytes(url)
  if (!bytes) return null
  const record = parse(bytes) as Partial<JobRecord> | null
  if (record?.format === "mobileclip-reinforce" && record.job) return record as JobRecord
  throw new UserError(`${url} is not of a reinforcement job`, "choose another --output")
}

/**
 * Whether it is known that nobody works on the job of a folder, whose lock is held. A store has no lock; the workers of a
 * server hold none, and only their server knows of them.
 */
function isLeft(before: JobRecord, folder: string, queue: Queue | undefined): boolean {
  if (!isLocal(folder)) return false
  const isKnown = before.server !== undefined && queue?.server !== undefined
  return before.queue === undefined || (before.queue === queue?.name && (!isKnown || before.server === queue.server))
}

type Place = Pick<JobRecord, "queue" | "server">

function isSameQueue(before: Place, now: Place): boolean {
  return before.queue === now.queue && before.server === now.server
}

/** A file's absolute path, so that another file of the same relative path is another input; a URL as it is. */
function placeOf(input: string): string {
  try {
    return isLocal(input) ? resolve(pathOf(input)) : input
  } catch {
    return input
  }
}

async function hasShards(storage: Storage, folder: string): Promise<boolean> {
  return (await storage.list(joinUrl(folder, "_done"))).length > 0
}

interface Refusal {
  readonly reason: string
  readonly hint: string
}

const notOfAJob: Refusal = { reason: "and is not of a reinforcement job", hint: "choose another --output" }

const withoutRecord: Refusal = {
  reason:
    "and nothing records that it is complete: the job that was begun there may have been stopped while it wrote it",
  hint: "remove it if it is that job's, or choose another --output",
}

async function requireAbsent(
  storage: Storage,
  folder: string,
  tasks: readonly Pick<ShardTask, "output">[],
  others: readonly string[],
  { reason, hint }: Refusal,
): Promise<void> {
  if (tasks.length === 0) return
  const names = new Set(await storage.list(folder))
  const outputs = [...tasks.map((task) => outputName(task, folder)), ...others]
  const found = outputs.find((name) => names.has(name))
  if (found !== undefined) throw new UserError(`${joinUrl(folder, found)} is there already, ${reason}`, hint)
}

function recordName(task: Pick<ShardTask, "output">, folder: string): string {
  return `${outputName(task, folder)}.json`
}

function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`)
}

/** Null for what is not JSON, or nests without end: a record that cannot be read is work that was not done. */
function parse(bytes: Uint8Array): unknown {
  try {
    return parseJsonText(new TextDecoder().decode(bytes))
  } catch {
    return null
  }
}
