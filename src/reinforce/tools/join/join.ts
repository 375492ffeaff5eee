/**
 * Joins shards of images with shards of reinforcements, as the released datasets come: without pictures. The output
 * follows the image side, shard by shard; a reinforcement is looked up by its key, wherever it lies. Shards are joined
 * in their order, so that of two images with one key the first is kept, however often the work was resumed.
 */
import { UserError } from "../../../core/errors.ts"
import { noProgress } from "../../../core/progress.ts"
import { expandShards } from "../../../data/expand.ts"
import { openStorage } from "../../../data/stores/open.ts"
import type { Storage } from "../../../data/stores/storage.ts"
import { type JoinJob, writtenFormat } from "../../job/job.ts"
import { Ledger } from "../../job/ledger.ts"
import { writeSideFiles } from "../../job/outcome.ts"
import { joinUrl, lockOutput } from "../../job/output.ts"
import { planShards } from "../../job/plan.ts"
import { type RunOutcome, runShards } from "../../local/run-shards.ts"
import type { RunOptions, ShardRunner, ShardTask } from "../../runner.ts"
import { type JoinShardsOptions, joinDefaults } from "../tool-options.ts"
import { type JoinResult, joinShard } from "./join-shard.ts"
import { OpenShards } from "./open-shards.ts"
import { type FailedReinforcement, type LookupOptions, Reinforcements } from "./reinforcements.ts"

export interface JoinReport {
  readonly images: { readonly shards: number; readonly samples: number; readonly duplicates: number }
  readonly reinforcements: { readonly shards: number; readonly keys: number; readonly duplicates: number }
  readonly matched: number
  readonly withoutReinforcement: number
  /** Keys of the reinforcements to which no image was joined. */
  readonly withoutImage: number
  /** Pictures that are not the ones that were reinforced. */
  readonly changed: number
  /** Samples that were left out for another reason: damaged, without a picture, without the key's field. */
  readonly failures: number
  readonly failedShards: readonly FailedReinforcement[]
  readonly bytes: number
  readonly resumedShards: number
  readonly stopped: RunOutcome["stopped"]
}

/**
 * Writes the joined shards, with `join.json`, the report, and `failures.jsonl` beside them; what is done is recorded in the
 * output, so the same call goes on where one was stopped. What was left out is in the report and is not an error.
 *
 * @throws UserError where no shard of reinforcements can be read, another process has the output, or it was begun with
 *   other settings; EnvironmentError where the machine fails
 */
export async function joinShards(options: JoinShardsOptions): Promise<JoinReport> {
  const { output, maxFailures, maxIndexBytes, signal, startProgress = noProgress } = { ...joinDefaults, ...options }
  const [images, reinforcements] = [await expandShards(options.images), await expandShards(options.reinforcements)]
  const job = jobOf(options)
  using _ = await lockOutput(output, "join", signal)
  const indexing = job.match === "key" ? startProgress("index", reinforcements.length, { unit: "shards" }) : null
  const joining = startProgress("join", images.length, { unit: "shards" })
  const storage = openStorage()
  const tasks = planShards(images, output, writtenFormat(job))
  const ledger = await Ledger.open(storage, output, job, tasks)
  const completed = await ledger.completed(tasks)
  const lookup = {
    maxBytes: maxIndexBytes,
    onShard: (shards: number) => indexing?.update(shards),
    ...(signal && { signal }),
  }
  await using runner = await JoinRunner.open(storage, ledger, job, reinforcements, lookup)
  for (const task of tasks) if (completed.has(task.index)) await runner.take(task)
  const outcome = await runShards(tasks, runner, completed, {
    // A shard that broke off has taken keys: it is begun again with a new index, by the same command.
    ...{ maxFailures, tries: 1, pauses: [] },
    ...(signal && { signal }),
    onState: ({ shardsDone, samples }) => joining.update(shardsDone, `${samples} samples`),
  })
  if (outcome.outage) throw outcome.outage
  await writeSideFiles(storage, output, writtenFormat(job).output, outcome)
  const report = reportOf(job, reinforcements.length, outcome, runner)
  const text = `${JSON.stringify(report, null, 2)}\n`
  await storage.put(joinUrl(output, "join.json"), [new TextEncoder().encode(text)])
  joining.done()
  return report
}

function jobOf(options: JoinShardsOptions): JoinJob {
  const { reinforcements, keyField = null, match, format = null, allowChanged } = { ...joinDefaults, ...options }
  return { kind: "join", reinforcements: [reinforcements].flat(), match, keyField, format, allowChanged }
}

class JoinRunner implements ShardRunner {
  readonly slots = 1
  private readonly byName: ReadonlyMap<string, string>

  private constructor(
    private readonly storage: Storage,
    private readonly ledger: Pick<Ledger, "record" | "folder">,
    private readonly job: JoinJob,
    reinforcements: readonly string[],
    /** Those of all shards; null where each serves the image shard of its name. */
    readonly all: Reinforcements | null,
  ) {
    this.byName = new Map(reinforcements.map((url) => [nameOf(url), url]))
  }

  static async open(
    storage: Storage,
    ledger: Pick<Ledger, "record" | "folder">,
    job: JoinJob,
    reinforcements: readonly string[],
    lookup: LookupOptions,
  ): Promise<JoinRunner> {
    if (job.match === "name") return new JoinRunner(storage, ledger, job, reinforcements, null)
    const all = await Reinforcements.open(storage, reinforcements, lookup)
    if (all.failed.length < reinforcements.length) return new JoinRunner(storage, ledger, job, reinforcements, all)
    await all[Symbol.asyncDispose]()
    throw new UserError(`no shard of reinforcements can be read: ${all.failed[0]!.reason}`)
  }

  async run(task: ShardTask, { onProgress }: RunOptions = {}): Promise<JoinResult> {
    const { job } = this
    const work = { storage: this.storage, ledger: this.ledger, onProgress }
    if (this.all) return joinShard(task, job, this.all, work)
    await using own = await this.named(task)
    return await joinShard(task, job, own, work)
  }

  /** Takes the keys of an output that was complete before. */
  async take({ output }: ShardTask): Promise<void> {
    if (!this.all || !(await this.storage.stat(output))) return
    await using shards = new OpenShards(this.storage)
    for await (const { key } of (await shards.get(output)).locations()) {
      const location = this.all.find(key)
      if (location) this.all.take(location)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.all?.[Symbol.asyncDispose]()
  }

  private async named({ input }: ShardTask): Promise<Reinforcements> {
    const url = this.byName.get(nameOf(input))
    if (!url) throw new UserError(`no shard of reinforcements has the name ${nameOf(input)}`)
    const own = await Reinforcements.open(this.storage, [url])
    if (own.failed.length === 0) return own
    await own[Symbol.asyncDispose]()
    throw new UserError(`${url}: ${own.failed[0]!.reason}`)
  }
}

/** The last part of a URL, without extensions. */
function nameOf(url: string): string {
  return url.slice(url.lastIndexOf("/") + 1).replace(/\..*$/, "")
}

function reportOf(job: JoinJob, shards: number, outcome: RunOutcome, { all }: JoinRunner): JoinReport {
  const results = outcome.results as readonly JoinResult[]
  const total = (count: (result: JoinResult) => number) => results.reduce((sum, result) => sum + count(result), 0)
  const matched = total(({ counts }) => counts.matched)
  const keys = all?.size ?? total(({ counts }) => counts.reinforcements?.keys ?? 0)
  const duplicates = total(({ counts }) => counts.duplicates)
  const withoutReinforcement = total(({ counts }) => counts.withoutReinforcement)
  const dropped = total(({ problems }) => problems.filter(({ action }) => action === "dropped").length)
  const changed = total(({ counts }) => counts.changed)
  const droppedChanges = job.allowChanged ? 0 : changed
  const failed = outcome.failed.map(({ task, reason }) => ({ shard: task.input, reason }))
  return {
    images: { shards: results.length, samples: total(({ counts }) => counts.images), duplicates },
    reinforcements: {
      shards,
      keys,
      duplicates: all?.duplicates ?? total(({ counts }) => counts.reinforcements?.duplicates ?? 0),
    },
    matched,
    withoutReinforcement,
    withoutImage: keys - matched,
    changed,
    failures: dropped - duplicates - withoutReinforcement - droppedChanges,
    failedShards: [...(all?.failed ?? []), ...failed],
    bytes: total(({ bytes }) => bytes),
    resumedShards: outcome.resumed,
    stopped: outcome.stopped,
  }
}
