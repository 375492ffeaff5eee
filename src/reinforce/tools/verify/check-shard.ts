/** One shard: its file against the hash that was recorded, and each of its samples by itself. */
import { isInputError, messageOf } from "../../../core/errors.ts"
import { readSamples } from "../../../data/reinforced/read.ts"
import type { Problem, ReinforcedSample } from "../../../data/reinforced/sample.ts"
import type { Storage } from "../../../data/stores/storage.ts"
import { sha256OfFile } from "../../../host/files/hash.ts"
import { pictureSize } from "../../../host/image/picture-size.ts"
import type { CheckSettings } from "../../job/job.ts"
import type { LookOptions, Shard } from "../find-shards.ts"
import { keyHash } from "../key-hash.ts"
import { RandomPick } from "../random-pick.ts"
import { faultsOf } from "./faults.ts"

export interface ShardProblem {
  /** Samples that were read before it was found, the one it is about among them. */
  readonly at: number
  readonly key: string | null
  readonly reason: string
}

/** What is known of a shard when it was looked through: some bytes a sample. */
export interface ShardCheck {
  readonly samples: number
  readonly problems: readonly ShardProblem[]
  /** Hashes of the samples' keys, two halves each, in their order. */
  readonly hashes: Uint32Array
  /** Keys that could be among those chosen of all shards. */
  readonly chosen: readonly string[]
}

/** @throws the signal's reason between samples, EnvironmentError where the machine fails; what is wrong with the shard is a problem */
export async function checkShard(
  storage: Storage,
  shard: Shard,
  settings: CheckSettings,
  options: LookOptions = {},
): Promise<ShardCheck> {
  const check = new Check(settings)
  try {
    await check.run(storage, shard, options)
  } catch (error) {
    if (!isInputError(error)) throw error
    check.problem(null, messageOf(error))
  }
  return check.result()
}

/** That nobody could look at a shard is a problem of it. */
export function unchecked(reason: string): ShardCheck {
  return { samples: 0, problems: [{ at: 0, key: null, reason }], hashes: new Uint32Array(0), chosen: [] }
}

class Check {
  private readonly problems: ShardProblem[] = []
  private readonly hashes: number[] = []
  private readonly chosen: RandomPick<string>
  private samples = 0

  constructor(private readonly settings: CheckSettings) {
    this.chosen = new RandomPick(settings.samples, settings.seed)
  }

  problem(key: string | null, reason: string): void {
    this.problems.push({ at: this.samples, key, reason })
  }

  result(): ShardCheck {
    const { samples, problems } = this
    return { samples, problems, hashes: Uint32Array.from(this.hashes), chosen: this.chosen.items() }
  }

  async run(storage: Storage, { url, record }: Shard, { signal, onSample }: LookOptions): Promise<void> {
    await using file = await storage.fetch(url, { signal })
    const { identity } = this.settings
    // A join records no models.
    if (record?.models && identity !== null && record.models !== identity) {
      this.problem(null, `it was made by ${record.models}, and the models now are ${identity}`)
    }
    if (record && (await sha256OfFile(file.path)) !== record.sha256) {
      this.problem(null, "its content is not what was recorded when it was complete (sha256)")
    }
    for await (const sample of readSamples(file.path, ({ key, reason }: Problem) => this.problem(key, reason))) {
      signal?.throwIfAborted()
      await this.sample(sample)
      onSample?.()
    }
    if (record && this.samples !== record.samples) {
      this.problem(null, `it holds ${this.samples} samples, and ${record.samples} were recorded`)
    }
  }

  private async sample(sample: ReinforcedSample): Promise<void> {
    this.samples += 1
    this.chosen.offer(sample.key, sample.key)
    this.hashes.push(...keyHash(sample.key))
    for (const reason of await this.faults(sample)) this.problem(sample.key, reason)
  }

  private async faults(sample: ReinforcedSample): Promise<string[]> {
    const { teacherWidths } = this.settings
    try {
      const picture = sample.image && (await pictureSize(sample.image.bytes, "its picture"))
      return faultsOf(sample, { picture, teacherWidths })
    } catch (error) {
      if (!isInputError(error)) throw error
      return [error.message, ...faultsOf(sample, { picture: null, teacherWidths })]
    }
  }
}
