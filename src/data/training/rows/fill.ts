/** Rows of a batch, one after the other, in a thread of the pool or in the caller's. */
import { Random } from "../../../core/arrays/random.ts"
import type { Tokenizer } from "../../../core/text/tokenizer.ts"
import type { Truncated } from "../../../host/image/picture-format.ts"
import { type BadReason, BadSample } from "../bad-samples.ts"
import type { SampleLocation } from "../sources/location.ts"
import { SampleLoader, type TrainingSample } from "./load.ts"
import { fillRow, type RowSettings } from "./row.ts"
import { rowOfSlot, type Slot } from "./slot.ts"

export interface FillSettings extends RowSettings {
  readonly seed: number
  /** Rows of a batch on this rank. */
  readonly rows: number
  /** Samples are kept decoded up to so many bytes; 0: none is. */
  readonly cacheBytes: number
  readonly truncated: Truncated
  /** The least length of a picture's shorter side, in pixels. */
  readonly minImageSize: number
}

export interface RowRequest {
  readonly row: number
  /** What is drawn for the row depends on these two and the seed. */
  readonly position: number
  readonly attempt: number
  readonly id: number
  readonly location: SampleLocation
  /** What is wrong with the sample that stands at the position, where that was known before it was tried. */
  readonly known?: BadReason | undefined
}

export interface Filled {
  /** Rows that were not made. */
  readonly failures: readonly RowFailure[]
  /** Samples that were read, and whose pictures are cut off. */
  readonly cutOff: readonly number[]
}

/** A row that was not made. */
export interface RowFailure {
  readonly request: RowRequest
  readonly reason: BadReason
  readonly message: string
}

export class RowFiller implements Disposable {
  private readonly loader: SampleLoader
  private readonly kept = new Map<number, TrainingSample>()
  private keptBytes = 0
  private cutOff: number[] = []

  constructor(
    private readonly settings: FillSettings,
    private readonly tokenizer: Tokenizer,
    private readonly isStopped: () => boolean = () => false,
  ) {
    this.loader = new SampleLoader(settings.embeddingWidth !== null, settings.truncated)
  }

  /** Fills the rows that can be, unless it is stopped in between. */
  async fill(slot: Slot, requests: readonly RowRequest[]): Promise<Filled> {
    const failures: RowFailure[] = []
    for (const request of requests) {
      if (this.isStopped()) break
      try {
        await this.fillOne(slot, request)
      } catch (error) {
        if (!(error instanceof BadSample)) throw error
        failures.push({ request, reason: error.reason, message: error.message })
      }
    }
    const { cutOff } = this
    this.cutOff = []
    return { failures, cutOff }
  }

  [Symbol.dispose](): void {
    this.loader[Symbol.dispose]()
    this.kept.clear()
  }

  private async fillOne(slot: Slot, { row, position, attempt, id, location }: RowRequest): Promise<void> {
    const { seed, rows } = this.settings
    const sample = this.kept.get(id) ?? (await this.load(id, location))
    const random = Random.of(seed, "row", position, attempt)
    fillRow(sample, random, this.settings, this.tokenizer, rowOfSlot(slot, row, rows))
  }

  private async load(id: number, location: SampleLocation): Promise<TrainingSample> {
    const sample = await this.loader.load(location)
    this.requireSize(sample)
    if (sample.image.isCutOff) this.cutOff.push(id)
    const bytes = sampleBytes(sample)
    if (this.keptBytes + bytes > this.settings.cacheBytes) return sample
    this.keptBytes += bytes
    this.kept.set(id, sample)
    return sample
  }

  private requireSize({ name, image: { width, height } }: TrainingSample): void {
    const { minImageSize } = this.settings
    if (Math.min(width, height) >= minImageSize) return
    const message = `${name} is ${width} x ${height} pixels, less than ${minImageSize}`
    throw new BadSample("smaller than asked for", message)
  }
}

/** About what a sample takes in memory. */
export function sampleBytes({ image, embeddings }: TrainingSample): number {
  return [...embeddings.values()].reduce((sum, { values }) => sum + values.byteLength, image.data.length + 2000)
}
