/** One shard, counted. */
import { isInputError, messageOf } from "../../../core/errors.ts"
import { readSamples } from "../../../data/reinforced/read.ts"
import type { Problem, ReinforcedSample } from "../../../data/reinforced/sample.ts"
import type { Storage } from "../../../data/stores/storage.ts"
import type { CountSettings } from "../../job/job.ts"
import type { LookOptions, Shard } from "../find-shards.ts"
import { RandomPick } from "../random-pick.ts"
import { CaptionCollector, EmbeddingCollector, type Members, membersOf, PictureCollector } from "./collectors.ts"
import { Failures } from "./failures.ts"
import { Counter, type Counts } from "./spread.ts"

/** What is in a shard, in numbers that add up. */
export interface ShardCounts {
  readonly samples: number
  /** Size of the file; 0 where it is not a shard. */
  readonly bytes: number
  readonly members: Members
  readonly views: Counts
  readonly captions: ReturnType<CaptionCollector["counted"]>
  readonly pictures: ReturnType<PictureCollector["counted"]>
  readonly embeddings: ReturnType<EmbeddingCollector["counted"]>
  readonly failures: ReturnType<Failures["counted"]>
  /** Keys that could be among those chosen of all shards. */
  readonly chosen: readonly string[]
}

/** @throws the signal's reason between samples, EnvironmentError where the machine fails; a shard that cannot be read is a failure */
export async function countShard(
  storage: Storage,
  { url }: Shard,
  settings: CountSettings,
  options: LookOptions = {},
): Promise<ShardCounts> {
  const count = new Count(settings)
  await using file = await storage.fetch(url, { signal: options.signal })
  try {
    await count.run(file.path, options)
  } catch (error) {
    if (!isInputError(error)) throw error
    count.failures.add(messageOf(error))
  }
  return count.result()
}

/** That nobody could look at a shard is a failure of it. */
export function uncounted(reason: string): ShardCounts {
  const count = new Count({ samples: 0, seed: 0 })
  count.failures.add(reason)
  return count.result()
}

class Count {
  readonly failures = new Failures()
  private readonly captions = new CaptionCollector()
  private readonly pictures = new PictureCollector()
  private readonly embeddings = new EmbeddingCollector()
  private readonly views = new Counter()
  private readonly chosen: RandomPick<string>
  private file: Awaited<ReturnType<typeof membersOf>> = { members: new Map(), bytes: 0 }
  private samples = 0

  constructor({ samples, seed }: CountSettings) {
    this.chosen = new RandomPick(samples, seed)
  }

  async run(path: string, { signal, onSample }: LookOptions): Promise<void> {
    this.file = await membersOf(path)
    for await (const sample of readSamples(path, ({ reason }: Problem) => this.failures.add(reason))) {
      signal?.throwIfAborted()
      await this.add(sample)
      onSample?.()
    }
  }

  result(): ShardCounts {
    return {
      ...{ samples: this.samples, ...this.file, views: this.views.counts, chosen: this.chosen.items() },
      captions: this.captions.counted(),
      pictures: this.pictures.counted(),
      embeddings: this.embeddings.counted(),
      failures: this.failures.counted(),
    }
  }

  private async add(sample: ReinforcedSample): Promise<void> {
    this.samples += 1
    this.chosen.offer(sample.key, sample.key)
    this.captions.add(sample)
    this.embeddings.add(sample)
    if (sample.paramAug) this.views.add(sample.paramAug.length)
    try {
      await this.pictures.add(sample)
    } catch (error) {
      if (!isInputError(error)) throw error
      this.failures.add(error.message)
    }
  }
}
