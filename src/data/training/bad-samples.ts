/**
 * Samples that cannot be used: counted by what is wrong with them, over all processes, until there are too many.
 *
 * A position counts if its own sample cannot be used. Where every sample comes once per epoch, the positions of one epoch
 * are distinct samples, whichever process has them, so the epoch with the most gives the number; where samples are drawn,
 * they are a share of the draws. Counts belong to the batches that were taken, not to those made ahead: all processes that add theirs
 * at one step have the same sums, and stop there.
 */

import { fnv1a } from "../../core/arrays/random.ts"
import { oneLine, UserError } from "../../core/errors.ts"

/** What can be wrong with a sample, in the words of messages. */
const badReasons = [
  "damaged sample",
  "damaged picture",
  "no picture",
  "no caption",
  "no stored views",
  "view outside of the picture",
  "no embeddings",
  "no synthetic captions",
  "smaller than asked for",
] as const

export type BadReason = (typeof badReasons)[number]

/** Replaced like the others, but on purpose: the sample is not bad, so it is counted separately. */
const tooSmall: BadReason = "smaller than asked for"

/** Reasons for which no row can be made of the sample. */
const unusableReasons: ReadonlySet<BadReason> = new Set(["damaged sample", "damaged picture", "no picture", tooSmall])

/** Thrown where one sample is read, caught where its row is replaced. */
export class BadSample extends Error {
  override readonly name = "BadSample"

  constructor(
    readonly reason: BadReason,
    /** The sample and what is wrong with it. */
    message: string,
  ) {
    super(message)
  }
}

/** How many may be left out in any case where a share is allowed, even of few data. */
const fewestAllowed = 100

/** How many single samples are remembered at most: the others are tried, and fail, again. */
export const mostRemembered = 1_000_000

export interface BadLimit {
  /** Below 1: a share of the samples, of draws where they are drawn, and `fewestAllowed` at least; else a number. */
  readonly limit: number
  /** Whether samples are drawn with replacement. */
  readonly resampled: boolean
  readonly rank: number
  readonly ranks: number
  /** How a user allows more, for the message; absent where there is no such option. */
  readonly toAllowMore?: string | undefined
}

/** A position whose own sample cannot be used. */
export interface BadRow {
  readonly position: number
  readonly reason: BadReason
  /** Null where the sample was known to be bad before. */
  readonly id: number | null
}

type Counts = readonly number[]

const none: Counts = badReasons.map(() => 0)

export class BadSamples {
  /** Samples of an epoch; null where samples are drawn, or the number is not known yet. */
  samples: number | null = null
  private readonly examples = new Map<BadReason, string>()
  private readonly unusable = new Map<number, BadReason>()
  private readonly told = new Set<number>()
  /** Positions that this process has taken. */
  private drawn = 0
  /** Samples that their shards do not give, by this process. */
  private missing = 0
  private epoch = 0
  /** Counts of this process by reason: of the previous epoch, and of this one. */
  private own: readonly [Counts, Counts] = [none, none]
  /** Counts over all processes, of the epoch with the most. */
  private fullest: Counts = none
  private mostPassedOver = 0
  private allMissing = 0
  private allDrawn = 0

  constructor(private readonly options: BadLimit) {}

  /** Over all processes, as of the last `take`. */
  get count(): number {
    return sumOf(this.fullest) + this.allMissing
  }

  /** Samples that are smaller than asked for, over all processes, in the epoch with the most; draws, where they are drawn. */
  get passedOver(): number {
    return this.mostPassedOver
  }

  /** What `count` counts, by reason. */
  get reasons(): ReadonlyMap<BadReason, number> {
    const counts = badReasons.map((reason, i) => [reason, this.fullest[i]!] as const)
    const [[damaged, count], ...rest] = counts as [(typeof counts)[number], ...typeof counts]
    const all = [[damaged, count + this.allMissing] as const, ...rest]
    return new Map(all.filter(([reason, count]) => count > 0 && reason !== tooSmall))
  }

  /**
   * What is wrong with a sample that can never be used, so that it is not tried again. A reason that concerns only some rows
   * of a sample does not count: otherwise earlier rows would decide whether others can be made of it.
   */
  reasonOf(id: number): BadReason | undefined {
    return this.unusable.get(id)
  }

  /** Remembers a sample that was tried. */
  note(id: number, reason: BadReason, message: string): void {
    if (unusableReasons.has(reason) && this.unusable.size < mostRemembered) this.unusable.set(id, reason)
    this.setExample(reason, message)
  }

  /**
   * Counts a sample that its shard does not give, once, on one process: others may open the shard too. Throws UserError
   * when there are more than a limit that is a number.
   */
  addMissing(url: string, message: string): void {
    if (fnv1a(url) % this.options.ranks !== this.options.rank) return
    if (!this.isNew(fnv1a(message))) return
    this.setExample("damaged sample", message)
    this.missing++
    if (!this.isShare) this.take(this.counts())
  }

  /**
   * Counts a batch that is taken.
   *
   * @param end the position after the batch, over all processes: the same on each
   * @param rows how many of the batch's rows this process has
   */
  addBatch(end: number, rows: number, bad: readonly BadRow[]): void {
    this.drawn += rows
    this.turnTo(this.samples === null || this.options.resampled ? 0 : Math.floor((end - 1) / this.samples))
    const counted = this.isDistinct ? bad.filter(({ id }) => id !== null && this.isOwn(id) && this.isNew(id)) : bad
    for (const { position, reason } of counted) {
      const isBefore = this.samples !== null && !this.options.resampled && position < this.epoch * this.samples
      this.own = withOne(this.own, isBefore ? 0 : 1, badReasons.indexOf(reason))
    }
  }

  /** What this process counted, to be added to that of others, number by number. */
  counts(): number[] {
    return [this.drawn, this.missing, ...this.own[0], ...this.own[1]]
  }

  /** Takes the sums of `counts` over all processes. Throws UserError when there are more bad samples than allowed. */
  take([drawn, missing, ...epochs]: readonly number[]): void {
    this.allDrawn = drawn!
    this.allMissing = missing!
    for (const counts of [epochs.slice(0, none.length), epochs.slice(none.length)]) {
      if (sumOf(counts) > sumOf(this.fullest)) this.fullest = counts
      this.mostPassedOver = Math.max(this.mostPassedOver, counts[badReasons.indexOf(tooSmall)]!)
    }
    this.check()
  }

  /** What was wrong, how often, and an example of each, in a line. */
  summary(): string {
    return [...this.examples]
      .map(([reason, example]) => [this.reasons.get(reason), reason, example] as const)
      .map(([count, reason, example]) => `${count === undefined ? "" : `${count} x `}${reason} (${example})`)
      .concat([...this.reasons].filter(([reason]) => !this.examples.has(reason)).map(([r, n]) => `${n} x ${r}`))
      .join("; ")
  }

  private check(): void {
    const { count } = this
    const { toAllowMore } = this.options
    const allowed = this.allowed()
    if (count <= allowed) return
    throw new UserError(
      `${count} samples cannot be used, more than the ${allowed} allowed: ${this.summary()}`,
      `fix or leave out these samples${toAllowMore === undefined ? "" : `, or allow more of them: ${toAllowMore}`}`,
    )
  }

  private get isShare(): boolean {
    return this.options.limit > 0 && this.options.limit < 1
  }

  /** Draws repeat samples: where a number is allowed, each sample counts once, on one process. */
  private get isDistinct(): boolean {
    return this.options.resampled && !this.isShare
  }

  private allowed(): number {
    const { limit, resampled } = this.options
    if (!this.isShare) return limit
    const all = resampled || this.samples === null ? this.allDrawn : this.samples
    return Math.max(fewestAllowed, Math.floor(limit * all))
  }

  private turnTo(epoch: number): void {
    if (epoch === this.epoch) return
    this.own = [epoch === this.epoch + 1 ? this.own[1] : none, none]
    this.epoch = epoch
  }

  private isOwn(id: number): boolean {
    return id % this.options.ranks === this.options.rank
  }

  private isNew(id: number): boolean {
    if (this.told.has(id) || this.told.size >= mostRemembered) return false
    this.told.add(id)
    return true
  }

  private setExample(reason: BadReason, message: string): void {
    if (!this.examples.has(reason)) this.examples.set(reason, oneLine(message, 300))
  }
}

/** The sum without the samples that are smaller than asked for. */
function sumOf(counts: Counts): number {
  return counts.reduce((sum, count, i) => (badReasons[i] === tooSmall ? sum : sum + count), 0)
}

function withOne(epochs: readonly [Counts, Counts], which: 0 | 1, at: number): readonly [Counts, Counts] {
  const counts = epochs[which].map((count, i) => (i === at ? count + 1 : count))
  return which === 0 ? [counts, epochs[1]] : [epochs[0], counts]
}
