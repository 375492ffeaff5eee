/** One shard of images, joined with what is known of its samples. */
import { isInputError, messageOf, UserError } from "../../../core/errors.ts"
import { encodeSamples } from "../../../data/reinforced/encode.ts"
import { keyText } from "../../../data/reinforced/jsonl/json-record.ts"
import { readSamples } from "../../../data/reinforced/read.ts"
import type { Problem, ReinforcedSample } from "../../../data/reinforced/sample.ts"
import type { Storage } from "../../../data/stores/storage.ts"
import { type JoinJob, writtenFormat } from "../../job/job.ts"
import type { Ledger } from "../../job/ledger.ts"
import { ShardOutput } from "../../job/output.ts"
import { fetchInput } from "../../local/input.ts"
import type { ShardResult, ShardTask } from "../../runner.ts"
import { mergeSamples, requireSamePicture } from "./merge.ts"
import type { Reinforcements } from "./reinforcements.ts"

interface JoinCounts {
  /** Samples of the image shard that could be read. */
  readonly images: number
  readonly matched: number
  readonly withoutReinforcement: number
  /** Images whose key came before. */
  readonly duplicates: number
  /** Pictures that are not the ones that were reinforced, whether kept or not. */
  readonly changed: number
  /** In the reinforcements of a shard of the same name; null where all shards are one set. */
  readonly reinforcements: { readonly keys: number; readonly duplicates: number } | null
}

export interface JoinResult extends ShardResult {
  readonly counts: JoinCounts
}

export async function joinShard(
  task: ShardTask,
  job: JoinJob,
  reinforcements: Reinforcements,
  { storage, ledger, onProgress }: JoinWork,
): Promise<JoinResult> {
  const started = performance.now()
  const run = new ShardJoin(job, reinforcements)
  await using input = await fetchInput(storage, task.input)
  const samples = run.joined(readSamples(input.path, run.report))
  const output = new ShardOutput(storage, task.output, ledger.folder)
  const written = await output.put(encodeSamples(counted(samples, onProgress), writtenFormat(job)))
  const kept = run.counts.matched > 0 ? written : { bytes: 0, sha256: "" }
  if (run.counts.matched === 0) await output.remove()
  const seconds = (performance.now() - started) / 1000
  const result = { ...task, ...run.outcome(), ...kept, models: "", seconds }
  await ledger.record(result)
  return result
}

interface JoinWork {
  readonly storage: Storage
  readonly ledger: Pick<Ledger, "record" | "folder">
  readonly onProgress?: ((samples: number) => void) | undefined
}

class ShardJoin {
  readonly counts = { images: 0, matched: 0, withoutReinforcement: 0, duplicates: 0, changed: 0 }
  private readonly problems: Problem[] = []

  constructor(
    private readonly job: JoinJob,
    private readonly reinforcements: Reinforcements,
  ) {}

  readonly report = (problem: Problem): void => {
    this.problems.push(problem)
  }

  async *joined(images: AsyncIterable<ReinforcedSample>): AsyncGenerator<ReinforcedSample> {
    for await (const image of images) {
      this.counts.images += 1
      const sample = await this.join(image)
      if (!sample) continue
      this.counts.matched += 1
      yield sample
    }
  }

  outcome() {
    const { size: keys, duplicates } = this.reinforcements
    const own = this.job.match === "name" ? { keys, duplicates } : null
    const counts: JoinCounts = { ...this.counts, reinforcements: own }
    return { samples: counts.matched, problems: this.problems, counts }
  }

  /** Null where nothing fits; the reason is reported. */
  private async join(image: ReinforcedSample): Promise<ReinforcedSample | null> {
    try {
      const key = keyOf(image, this.job.keyField)
      const location = this.reinforcements.find(key)
      if (!location) return this.without(image.key, "withoutReinforcement", `no reinforcement has the key ${key}`)
      if (this.reinforcements.isTaken(location)) {
        return this.without(image.key, "duplicates", `an earlier image has the key ${key}`)
      }
      const reinforcement = await this.reinforcements.read(key, location, this.job.format === null)
      this.checkPicture(image, reinforcement)
      const sample = mergeSamples(image, reinforcement)
      this.reinforcements.take(location)
      return sample
    } catch (error) {
      if (!isInputError(error)) throw error
      this.report({ key: image.key, reason: messageOf(error), action: "dropped" })
      return null
    }
  }

  private without(key: string, count: "withoutReinforcement" | "duplicates", reason: string): null {
    this.counts[count] += 1
    this.report({ key, reason, action: "dropped" })
    return null
  }

  private checkPicture(image: ReinforcedSample, reinforcement: ReinforcedSample): void {
    try {
      requireSamePicture(image, reinforcement)
    } catch (error) {
      if (image.image) this.counts.changed += 1
      if (!this.job.allowChanged || !image.image) throw error
      this.report({ key: reinforcement.key, reason: messageOf(error), action: "kept" })
    }
  }
}

function keyOf({ key, fields }: ReinforcedSample, field: string | null): string {
  if (field === null) return key
  const value = keyText(fields[field])
  if (value !== null) return value
  throw new UserError(
    `its json has no ${field}, which was to be its key; it has ${Object.keys(fields).join(", ") || "nothing"}`,
  )
}

async function* counted<T>(items: AsyncIterable<T>, onProgress: JoinWork["onProgress"]): AsyncGenerator<T> {
  let count = 0
  for await (const item of items) {
    yield item
    onProgress?.(++count)
  }
}
