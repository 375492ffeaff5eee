/**
 * What is done of a job, kept beside its output so that any machine can go on: `config.json` holds the job, and
 * `_done/<shard>.json` appears after each shard that is complete.
 */
import { z } from "zod"
import { UserError } from "../../core/errors.ts"
import { parseJsonText } from "../../data/json-text.ts"
import { mapOrdered } from "../../data/parallel.ts"
import { shardLikeLists } from "../../data/reinforced/tar/side-files.ts"
import type { Storage } from "../../data/stores/storage.ts"
import { isSamePlace } from "../../host/files/same-place.ts"
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
   * The ledger of a job in `folder`, begun or gone on with. A job that has made no shard gives way to another one.
   *
   * @param tasks none: for those who work on a job, which is the one of the folder
   * @throws UserError where the folder is of another job, or a job that begins would replace files that no job wrote
   */
  static async open(
    storage: Storage,
    folder: string,
    job: AnyJob,
    tasks: readonly Pick<ShardTask, "output">[] = [],
  ): Promise<Ledger> {
    const before = await readJob(storage, folder)
    if (before === null) await requireAbsent(storage, folder, tasks, sideFiles)
    else if (tasks.length === 0 || isSameJob(before, job) || (await hasShards(storage, folder))) {
      requireSameJob(before, job, folder)
      return new Ledger(storage, folder)
    } else await requireAbsent(storage, folder, tasks, [])
    const record: JobRecord = { format: "mobileclip-reinforce", job }
    await storage.put(joinUrl(folder, "config.json"), [json(record)])
    return new Ledger(storage, folder)
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

  async record(result: ShardResult): Promise<void> {
    await requireNotLinkedOut(this.recordUrl(result), this.folder)
    await this.storage.put(this.recordUrl(result), [json(result)])
  }

  /** Null where there is no record, it is not readable, it is of another input, or the output is not the one it speaks of. */
  async read(task: ShardTask): Promise<ShardResult | null> {
    const bytes = await this.storage.readBytes(this.recordUrl(task))
    const result: ShardResult | undefined = bytes ? resultSchema.safeParse(parse(bytes)).data : undefined
    if (!result || !isSamePlace(result.input, task.input)) return null
    const output = await this.storage.stat(task.output)
    return (output?.bytes ?? 0) === result.bytes ? { ...result, index: task.index, output: task.output } : null
  }

  private recordUrl(task: Pick<ShardTask, "output">): string {
    return joinUrl(this.folder, `_done/${recordName(task, this.folder)}`)
  }
}

/** The job that `folder` was begun with, or null. Throws UserError where its config.json is of something else. */
export async function readJob(storage: Storage, folder: string): Promise<AnyJob | null> {
  const url = joinUrl(folder, "config.json")
  const bytes = await storage.readBytes(url)
  if (!bytes) return null
  const record = parse(bytes) as Partial<JobRecord> | null
  if (record?.format === "mobileclip-reinforce" && record.job) return record.job
  throw new UserError(`${url} is not of a reinforcement job`, "choose another --output")
}

async function hasShards(storage: Storage, folder: string): Promise<boolean> {
  return (await storage.list(joinUrl(folder, "_done"))).length > 0
}

async function requireAbsent(
  storage: Storage,
  folder: string,
  tasks: readonly Pick<ShardTask, "output">[],
  others: readonly string[],
): Promise<void> {
  if (tasks.length === 0) return
  const names = new Set(await storage.list(folder))
  const outputs = [...tasks.map((task) => outputName(task, folder)), ...others]
  const found = outputs.find((name) => names.has(name))
  if (found === undefined) return
  throw new UserError(
    `${joinUrl(folder, found)} is there already, and is not of a reinforcement job`,
    "choose another --output",
  )
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
