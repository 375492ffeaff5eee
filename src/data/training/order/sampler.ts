/** From a position to the sample that stands there, or to its replacement where it cannot be used. */
import { Random } from "../../../core/arrays/random.ts"
import type { SampleList, SampleLocation } from "../sources/location.ts"
import type { ShardSet } from "../sources/shard-set.ts"
import { DrawOrder, type DrawShape, EpochOrder, fetchedDraws } from "./order.ts"

export interface Picked {
  /** A number of the sample, the same whenever it is picked. */
  readonly id: number
  readonly location: SampleLocation
}

export interface Sampler {
  /** Null where that is not known before all is read. */
  readonly samples: number | null
  /**
   * Synchronous wherever possible: the next batch is then on its way to the threads before libtorch gets this one.
   *
   * @param attempt 0 for the sample itself, from 1 on for its replacements
   */
  pick(position: number, attempt: number): Picked | Promise<Picked>
}

/** Samples of a list: each once per epoch, or drawn at random. */
export class ListSampler implements Sampler {
  readonly samples: number
  private readonly order: EpochOrder | null

  constructor(
    private readonly list: SampleList,
    private readonly seed: number,
    resampled: boolean,
  ) {
    this.samples = list.count
    this.order = resampled ? null : new EpochOrder(list.count, seed)
  }

  pick(position: number, attempt: number): Picked {
    const id = attempt === 0 && this.order ? this.order.at(position) : this.drawn(position, attempt)
    return { id, location: this.list.location(id) }
  }

  private drawn(position: number, attempt: number): number {
    const { count } = this.list
    const random = Random.of(this.seed, "sample", position, attempt)
    if (count <= mostOfOneStream) return random.int(count)
    const more = Random.of(this.seed, "sample", "more bits", position, attempt)
    return Math.floor(((random.uint32() * 2 ** 21 + (more.uint32() >>> 11)) / 2 ** 53) * count)
  }
}

/** There are 2^32 streams. With more samples than this, some would belong to none of them, and never be drawn. */
const mostOfOneStream = 2 ** 28

/** Shards drawn with replacement; the next shard is fetched when half of a draw is left. */
export class ShardSampler implements Sampler {
  readonly samples = null
  private readonly order: DrawOrder
  private readonly ahead: number

  constructor(
    private readonly shards: ShardSet,
    private readonly seed: number,
    batchSize: number,
    shape: DrawShape,
  ) {
    this.order = new DrawOrder(shards.urls.length, batchSize, seed, shape)
    this.ahead = Math.floor(shape.length / 2)
  }

  async pick(position: number, attempt: number): Promise<Picked> {
    const draw = this.order.at(position)
    // An error is reported when the shard is needed.
    if (this.ahead > 0) void this.shards.samples(this.order.at(position, this.ahead).shard).catch(() => {})
    if (attempt > 0) return this.pickInstead(draw.shard, position, attempt)
    const list = await this.shards.samples(draw.shard)
    return pickOf(list, draw.shard, this.order.sampleOf(draw, list.count))
  }

  /** Replacements come from the same shard where others would have to be fetched, but not for ever: it may have no usable sample. */
  private async pickInstead(drawn: number, position: number, attempt: number): Promise<Picked> {
    const random = Random.of(this.seed, "instead", position, attempt)
    const stays = this.ahead > 0 && attempt <= mostAttemptsInShard
    const shard = stays ? drawn : random.int(this.shards.urls.length)
    const list = await this.shards.samples(shard)
    return pickOf(list, shard, random.int(list.count))
  }
}

const mostAttemptsInShard = 16

function pickOf(list: SampleList, shard: number, index: number): Picked {
  return { id: shard * 2 ** 32 + index, location: list.location(index) }
}

/** Shards that a rank has open at once: those of its rows, those fetched ahead, and a few more. */
export function openShards(rows: number): number {
  return 2 * (Math.ceil(rows / fetchedDraws.run) + 1) + 4
}
