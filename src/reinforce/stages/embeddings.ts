/**
 * The embedding stage: K augmented views of each image as parameters, and what an ensemble of teachers makes of the views
 * and of every caption. `param_aug` K entries, `image_emb<suffix>` [K, D], `text_emb<suffix>` [captions, D] and
 * `<key>_emb<suffix>` of each synthetic key, D the sum of the teachers' widths.
 *
 * A sample that has `param_aug` already, from an earlier ensemble, keeps it: its views are made again.
 */
import { setImmediate } from "node:timers/promises"
import { batchesOf } from "../../core/arrays/batches.ts"
import { oneLine, UserError } from "../../core/errors.ts"
import { mapOrdered } from "../../core/parallel.ts"
import type { StoredAugmentation } from "../../data/augment/augmentation.ts"
import type { Embeddings, ReinforcedSample } from "../../data/reinforced/sample.ts"
import type { Ensemble } from "./ensemble.ts"
import { type Prepared, preparedSamples, type Report, type Stage } from "./stage.ts"
import type { ViewSource } from "./views.ts"

export interface EmbeddingStageOptions {
  readonly ensemble: Ensemble
  readonly views: ViewSource
  /** Augmentations of each image. */
  readonly perImage: number
  /** Views, or texts, that a teacher takes at a time. */
  readonly batchSize: number
  readonly synTextKey: RegExp
  readonly suffix: string
  readonly dtype: Embeddings["dtype"]
}

/** A sample whose views are there. */
interface WithViews extends Prepared {
  readonly augmentations: readonly StoredAugmentation[]
  /** For each target of the ensemble, [views, 3, size, size]. */
  readonly pixels: readonly Float32Array<ArrayBuffer>[]
}

export class EmbeddingStage implements Stage {
  private queue: Promise<unknown> = Promise.resolve()
  /** A group's views, for each target. */
  private readonly joinedPixels: Float32Array[] = []

  constructor(private readonly options: EmbeddingStageOptions) {}

  get identity(): string {
    return this.options.ensemble.identity
  }

  async *run(samples: AsyncIterable<ReinforcedSample>, report: Report): AsyncGenerator<ReinforcedSample> {
    const { batchSize, perImage, views } = this.options
    const perGroup = Math.max(1, Math.floor(batchSize / perImage))
    // Work is begun when a sample is asked for: without the views of a whole group ahead, threads wait for the teachers.
    const ahead = views.parallel > 1 ? views.parallel + perGroup : 1
    const prepared = preparedSamples(samples, ahead, (sample) => this.prepare(sample), report)
    const groups = batchesOf(prepared, perGroup)
    // Two under way: one is there when the teachers have looked at the other.
    for await (const group of mapOrdered(groups, 2, (group) => this.inTurn(() => this.embedded(group)))) yield* group
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.queue
    await Promise.all([this.options.ensemble[Symbol.asyncDispose](), this.options.views[Symbol.asyncDispose]()])
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.queue.then(work)
    this.queue = result.catch(() => {})
    return result
  }

  private async prepare(sample: ReinforcedSample): Promise<WithViews> {
    const { ensemble, views, perImage, suffix, synTextKey } = this.options
    if (sample.embeddings.has(`image_emb${suffix}`)) {
      throw new UserError(`it has image_emb${suffix} already: another --tag-suffix keeps both`)
    }
    requireTexts(sample, synTextKey)
    const made = await views.make(sample, sample.paramAug ?? perImage, ensemble.targets)
    return { sample, ...made }
  }

  private async embedded(group: readonly WithViews[]): Promise<ReinforcedSample[]> {
    const images = await this.embedViews(group)
    for (const made of group) this.options.views.recycle(made)
    const texts = await this.embedTexts(group.map(({ sample }) => sample))
    return group.map(({ sample, augmentations }, i) => ({
      ...sample,
      paramAug: augmentations,
      embeddings: new Map([...sample.embeddings, [`image_emb${this.options.suffix}`, images[i]!], ...texts[i]!]),
    }))
  }

  private async embedViews(group: readonly WithViews[]): Promise<Embeddings[]> {
    const counts = group.map(({ augmentations }) => augmentations.length)
    const { ensemble } = this.options
    const targets = ensemble.targets.map((_, t) =>
      this.joined(
        t,
        group.map(({ pixels }) => pixels[t]!),
      ),
    )
    const sizes = ensemble.targets.map(({ size }) => 3 * size * size)
    const rows = await this.inBatches(sum(counts), (from, to) =>
      ensemble.encodePixels(
        targets.map((pixels, t) => pixels.subarray(from * sizes[t]!, to * sizes[t]!)),
        to - from,
      ),
    )
    return this.split(rows, counts)
  }

  /** In memory that the next group takes over: the system clears new memory, which takes as long as the copy. */
  private joined(target: number, parts: readonly Float32Array[]): Float32Array {
    if (parts.length === 1) return parts[0]!
    const length = sum(parts.map((part) => part.length))
    const known = this.joinedPixels[target]
    const whole = known && known.length >= length ? known : new Float32Array(length)
    this.joinedPixels[target] = whole
    let offset = 0
    for (const part of parts) {
      whole.set(part, offset)
      offset += part.length
    }
    return whole.subarray(0, length)
  }

  /** For each sample, its captions' embeddings by key. */
  private async embedTexts(samples: readonly ReinforcedSample[]): Promise<[string, Embeddings][][]> {
    const lists = samples.map((sample) => this.textsOf(sample))
    const texts = lists.flatMap((list) => list.flatMap(([, captions]) => captions))
    const { ensemble } = this.options
    const rows = await this.inBatches(texts.length, (from, to) => ensemble.encodeTexts(texts.slice(from, to)))
    const parts = this.split(
      rows,
      lists.flatMap((list) => list.map(([, captions]) => captions.length)),
    )
    let next = 0
    return lists.map((list) => list.map(([key]) => [key, parts[next++]!]))
  }

  private textsOf({ texts, synTexts }: ReinforcedSample): [string, readonly string[]][] {
    const { synTextKey, suffix } = this.options
    const synthetic = [...synTexts].filter(([key]) => synTextKey.test(key))
    const lists: [string, readonly string[]][] = synthetic.map(([key, list]) => [`${key}_emb${suffix}`, list])
    return texts.length > 0 ? [[`text_emb${suffix}`, texts], ...lists] : lists
  }

  private async inBatches(count: number, encode: (from: number, to: number) => Promise<Float32Array>) {
    const { batchSize, ensemble } = this.options
    const rows = new Float32Array(count * ensemble.embedDim)
    for (let from = 0; from < count; from += batchSize) {
      // A teacher blocks the event loop; here threads say that views are made, and get others to make. Events are polled
      // before the second of the two.
      await setImmediate()
      await setImmediate()
      rows.set(await encode(from, Math.min(from + batchSize, count)), from * ensemble.embedDim)
    }
    return rows
  }

  private split(rows: Float32Array, counts: readonly number[]): Embeddings[] {
    const { ensemble, dtype } = this.options
    const width = ensemble.embedDim
    let from = 0
    return counts.map((count) => {
      const values = rows.slice(from * width, (from + count) * width)
      from += count
      return { rows: count, width, values, dtype }
    })
  }
}

/** Without a caption that is embedded a sample cannot be trained on. */
function requireTexts({ texts, synTexts }: ReinforcedSample, synTextKey: RegExp): void {
  const keys = [...synTexts.keys()]
  if (texts.length === 0 && keys.length === 0) throw new UserError("it has no caption")
  if (texts.length === 0 && !keys.some((key) => synTextKey.test(key))) {
    const found = oneLine(keys.join(", "))
    throw new UserError(`it has no caption but synthetic ones under ${found}, which --syn-text-key-regex leaves out`)
  }
  if (texts.some((text) => text.trim() === "")) throw new UserError("its caption is empty")
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
