/**
 * Training batches from any source: made ahead by threads, and a function of the configuration and the step alone, so a run
 * that stopped continues at its step, and two ranks together get what one would.
 */
import { UserError } from "../../core/errors.ts"
import { mapOrdered } from "../../core/parallel.ts"
import { type BadRow, BadSamples, mostRemembered } from "./bad-samples.ts"
import type { Batch } from "./batch.ts"
import { checkTrainingDataConfig, defaultCropScale, defaultMemoryBytes, type TrainingDataConfig } from "./config.ts"
import { type OrderSettings, orderSettings } from "./order/order.ts"
import type { Picked } from "./order/sampler.ts"
import { type Findings, probe } from "./probe.ts"
import type { FillSettings, RowFailure, RowRequest } from "./rows/fill.ts"
import { FillPool } from "./rows/pool.ts"
import { batchOfSlot, createSlot, type Slot } from "./rows/slot.ts"
import { type OpenSource, openSource } from "./sources/open-source.ts"

export interface TrainingData {
  /** What tells the data from others, wherever they are; also for people to read. */
  readonly identity: string
  /** What a run's settings say of the order of samples, beside the seed: nothing where it is the order of all versions. */
  readonly orderSettings: OrderSettings
  /** Null where shards are resampled: the number is not known before all are read. */
  readonly samples: number | null
  /** Steps in which every sample comes once, rounded up. */
  readonly stepsPerEpoch: number | null
  /** One per teacher; absent where batches have no embeddings. */
  readonly teacherWidths?: readonly number[]
  /** Whether batches have synthetic captions of their own. */
  readonly hasSynthetic: boolean
  /** How often a synthetic caption takes the place of the real one: as asked for, or 1 where no real ones were found; null: never. */
  readonly mixSynthetic: number | null
  /**
   * Batches without end. The arrays of a batch are filled again when the next one is asked for. Throws UserError when too
   * many samples cannot be used; with several ranks, the sums decide that (`bad`).
   */
  batches(firstStep: number): AsyncGenerator<Batch, void>
  /** What was passed over when the source was opened, and what was found of captions, a line each. */
  readonly notes: readonly string[]
  /** Number of pictures so far that were cut off and used all the same; they are counted up to `mostRemembered`. */
  readonly cutOff: number
  readonly bad: BadTally
  close(): Promise<void>
}

/** Samples that could not be used and were replaced. With several ranks, each adds up the `counts` of all and takes the sums. */
export interface BadTally {
  readonly count: number
  readonly reasons: ReadonlyMap<string, number>
  /** Samples replaced because they are smaller than asked for, in the epoch with the most; with draws, the number of draws. */
  readonly passedOver: number
  /** What was wrong, how often, and an example of each, in a line. */
  summary(): string
  /** Counts of this rank, from the batches that were taken. */
  counts(): readonly number[]
  /** Throws UserError when they are too many. */
  take(sums: readonly number[]): void
}

/** Throws UserError where the source is missing or lacks what the settings ask for, and on impossible settings. */
export async function openTrainingData(config: TrainingDataConfig): Promise<TrainingData> {
  checkTrainingDataConfig(config)
  const { maxBadSamples: limit, resampled = false, rank, ranks, toAllowMore } = config
  const bad = new BadSamples({ limit, resampled, rank, ranks, toAllowMore })
  const source = await openSource(config, bad)
  try {
    checkSize(config, source)
    bad.samples = source.sampler.samples
    if (ranks === 1) bad.take(bad.counts())
    const findings = await probe(config, source.sampler)
    const settings = fillSettings(config, source, findings)
    return new Loader(config, source, findings, settings, bad)
  } catch (error) {
    await source[Symbol.asyncDispose]()
    throw error
  }
}

function checkSize({ source: name, batchSize }: TrainingDataConfig, { sampler: { samples } }: OpenSource): void {
  if (samples === null || samples >= batchSize) return
  throw new UserError(
    `${name}: ${samples} samples do not fill a batch of ${batchSize}`,
    `name more data, or a smaller batch: --batch-size ${2 ** Math.floor(Math.log2(samples))}`,
  )
}

function fillSettings(config: TrainingDataConfig, { sampler }: OpenSource, findings: Findings): FillSettings {
  const { memoryBytes = defaultMemoryBytes, batchSize, ranks } = config
  const isSmall = sampler.samples !== null && sampler.samples * findings.sampleBytes <= memoryBytes
  return {
    seed: config.seed,
    rows: batchSize / ranks,
    cacheBytes: isSmall ? memoryBytes : 0,
    truncated: config.truncated ?? "accept",
    minImageSize: config.minImageSize ?? 1,
    preprocessing: config.preprocessing,
    contextLength: config.contextLength,
    view: config.view,
    cropScale: config.cropScale ?? defaultCropScale,
    captionKey: config.captionKey ?? "web",
    syntheticPattern: findings.syntheticPattern,
    mixSynthetic: findings.mixSynthetic,
    embeddingWidth: findings.teacherWidths?.reduce((sum, width) => sum + width, 0) ?? null,
  }
}

/** What nobody asked for is said. */
function captionNotes({ source, mixSynthetic: asked }: TrainingDataConfig, { mixSynthetic }: Findings): string[] {
  if (asked !== undefined || mixSynthetic === null) return []
  return [`${source}: pictures have no captions of their own; synthetic ones take their place, in one loss term`]
}

/** How many replacements are tried for one sample. */
const mostAttempts = 100

class Loader implements TrainingData {
  readonly identity: string
  readonly orderSettings: OrderSettings
  readonly samples: number | null
  readonly stepsPerEpoch: number | null
  readonly teacherWidths?: readonly number[]
  readonly hasSynthetic: boolean
  readonly mixSynthetic: number | null
  readonly notes: readonly string[]
  private readonly pool: FillPool
  private readonly cutOffIds = new Set<number>()

  constructor(
    private readonly config: TrainingDataConfig,
    private readonly source: OpenSource,
    findings: Findings,
    private readonly settings: FillSettings,
    readonly bad: BadSamples,
  ) {
    this.identity = source.identity
    this.samples = source.sampler.samples
    this.orderSettings = orderSettings(this.samples, config.resampled ?? false)
    this.mixSynthetic = findings.mixSynthetic
    this.notes = [...source.notes, ...captionNotes(config, findings)]
    this.stepsPerEpoch = this.samples && Math.ceil(this.samples / config.batchSize)
    if (findings.teacherWidths) this.teacherWidths = findings.teacherWidths
    this.hasSynthetic = settings.syntheticPattern !== null && settings.mixSynthetic === null
    this.pool = new FillPool(config.workers, settings, config.tokenizer)
  }

  get cutOff(): number {
    return this.cutOffIds.size
  }

  async *batches(firstStep: number): AsyncGenerator<Batch, void> {
    // One is with the caller; the others are being filled.
    const slots = Array.from({ length: this.config.prefetch + 1 }, () => createSlot(this.settings.rows, this.settings))
    const steps = function* () {
      for (let step = firstStep; ; step++) yield step
    }
    let end = firstStep * this.config.batchSize
    const made = mapOrdered(steps(), slots.length, (step) => this.makeBatch(step, slots[step % slots.length]!))
    for await (const { batch, bad } of made) {
      end += this.config.batchSize
      this.bad.addBatch(end, this.settings.rows, bad)
      if (this.config.ranks === 1) this.bad.take(this.bad.counts())
      yield batch
    }
  }

  async close(): Promise<void> {
    await this.pool[Symbol.asyncDispose]()
    await this.source[Symbol.asyncDispose]()
  }

  private async makeBatch(step: number, slot: Slot): Promise<MadeBatch> {
    const { batchSize, rank } = this.config
    const { rows } = this.settings
    const first = step * batchSize + rank * rows
    const wanted = Array.from({ length: rows }, (_, row) => ({ row, position: first + row, attempt: 0 }))
    let requests = await this.locate(wanted)
    const bad: BadRow[] = requests.flatMap(({ position, known }) =>
      known ? [{ position, reason: known, id: null }] : [],
    )
    while (requests.length > 0) {
      const { failures, cutOff } = await this.pool.fill(slot, requests)
      for (const id of cutOff) if (this.cutOffIds.size < mostRemembered) this.cutOffIds.add(id)
      for (const { request, reason, message } of failures) this.bad.note(request.id, reason, message)
      bad.push(...ownFailures(failures))
      requests = await this.locate(failures.map(({ request }) => ({ ...request, attempt: request.attempt + 1 })))
    }
    return { batch: batchOfSlot(slot, this.teacherWidths ?? null), bad }
  }

  private locate(wanted: readonly Wanted[]): RowRequest[] | Promise<RowRequest[]> {
    const requests = wanted.map((row) => this.request(row))
    return requests.some((request) => request instanceof Promise) ? Promise.all(requests) : (requests as RowRequest[])
  }

  private request(wanted: Wanted): RowRequest | Promise<RowRequest> {
    const { position, attempt } = wanted
    if (attempt > mostAttempts) {
      throw new UserError(`${this.config.source}: hardly any sample can be used`, this.bad.summary())
    }
    const picked = this.source.sampler.pick(position, attempt)
    return picked instanceof Promise ? picked.then((found) => this.usable(wanted, found)) : this.usable(wanted, picked)
  }

  private usable(
    { row, position, attempt, known }: Wanted,
    { id, location }: Picked,
  ): RowRequest | Promise<RowRequest> {
    const reason = this.bad.reasonOf(id)
    if (!reason) return { row, position, attempt, id, location, ...(known && { known }) }
    return this.request({ row, position, attempt: attempt + 1, known: attempt === 0 ? reason : known })
  }
}

type Wanted = Pick<RowRequest, "row" | "position" | "attempt" | "known">

interface MadeBatch {
  readonly batch: Batch
  readonly bad: readonly BadRow[]
}

/** Failures of samples at their own positions; replacements belong to other positions. */
function ownFailures(failures: readonly RowFailure[]): BadRow[] {
  return failures.flatMap(({ request: { position, attempt, id }, reason }) =>
    attempt === 0 ? [{ position, reason, id }] : [],
  )
}
