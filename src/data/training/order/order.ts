/**
 * Which sample stands at which position. A position counts pairs over all steps and ranks, so what a rank gets at a step
 * follows by arithmetic, and the batches of several ranks together are those of a single one.
 */
import { Random } from "../../../core/arrays/random.ts"
import { mostStored, type Permutation, permutation } from "./permutation.ts"

/** Every sample once per epoch; the next epoch begins within a batch, so no sample is left out. Memory does not grow with `count`. */
export class EpochOrder {
  /** Two epochs' orders, because batches are made ahead. */
  private readonly orders = new Map<number, Permutation>()

  constructor(
    private readonly count: number,
    private readonly seed: number,
  ) {}

  at(position: number): number {
    return this.orderOf(Math.floor(position / this.count)).at(position % this.count)
  }

  private orderOf(epoch: number): Permutation {
    const known = this.orders.get(epoch)
    if (known) return known
    if (this.orders.size === 2) this.orders.delete(Math.min(...this.orders.keys()))
    const order = permutation(this.count, Random.of(this.seed, "epoch", epoch))
    this.orders.set(epoch, order)
    return order
  }
}

export type OrderSettings = Readonly<Record<never, never>> | { readonly order: "keyed" }

/**
 * What a run's settings say of the order of its epochs, beside seed and data. Nothing where each epoch is a stored shuffle, as
 * it was for any number of samples before there were keyed orders, or where samples are drawn.
 *
 * @param samples of an epoch; null where they are drawn, or their number is not known
 */
export function orderSettings(samples: number | null, resampled: boolean): OrderSettings {
  return samples !== null && samples > mostStored && !resampled ? { order: "keyed" } : {}
}

/** A sample of a shard that was drawn: the `ordinal`-th draw of a slot, and its `place`-th sample. */
interface Draw {
  readonly shard: number
  readonly slot: number
  readonly ordinal: number
  readonly place: number
}

export interface DrawShape {
  /** How many neighbours in a batch belong to one draw: a slot. */
  readonly run: number
  /** How many samples are taken of a draw, whatever the size of its shard; then the slot draws another shard. */
  readonly length: number
}

/** For shards that are read quickly: each sample is drawn by itself. */
export const singleDraws: DrawShape = { run: 1, length: 1 }

/** For remote or large shards: as many at once as a batch has runs, each used for 64 steps. */
export const fetchedDraws: DrawShape = { run: 16, length: 1024 }

/** Shards with replacement. */
export class DrawOrder {
  constructor(
    private readonly shards: number,
    private readonly batchSize: number,
    private readonly seed: number,
    private readonly shape: DrawShape,
  ) {}

  /** @param ahead how many samples of the slot later: for fetching what will be asked for */
  at(position: number, ahead = 0): Draw {
    const { run, length } = this.shape
    const [step, row] = [Math.floor(position / this.batchSize), position % this.batchSize]
    const slot = Math.floor(row / run)
    // Slots are out of step with each other, so that they do not all need another shard at once.
    const slots = Math.ceil(this.batchSize / run)
    const phase = Math.floor((length * slot) / slots)
    const taken = phase + step * run + (row % run) + ahead
    const ordinal = Math.floor(taken / length)
    const shard = Random.of(this.seed, "draw", slot, ordinal).int(this.shards)
    return { shard, slot, ordinal, place: taken % length }
  }

  /** Which of the shard's `count` samples; one that has fewer than are taken starts again. */
  sampleOf({ slot, ordinal, place }: Draw, count: number): number {
    const random = Random.of(this.seed, "sample", slot, ordinal)
    return this.shape.length === 1 ? random.int(count) : this.drawn(slot, ordinal, count, random)[place % count]!
  }

  private readonly orders = new Map<number, DrawnSamples>()

  /** The first samples of a draw's order: as many as are taken. They are kept until the slot's next draw. */
  private drawn(slot: number, ordinal: number, count: number, random: Random): Uint32Array {
    const known = this.orders.get(slot)
    if (known?.ordinal === ordinal && known.count === count) return known.order
    const order = random.permutation(count).slice(0, this.shape.length)
    this.orders.set(slot, { ordinal, count, order })
    return order
  }
}

interface DrawnSamples {
  readonly ordinal: number
  /** Samples of the shard. */
  readonly count: number
  readonly order: Uint32Array
}
