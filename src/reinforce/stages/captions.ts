/** The captioning stage: `syn_text<suffix>`, N captions of each image, by one captioner or several. */
import { batchesOf } from "../../core/arrays/batches.ts"
import { UserError } from "../../core/errors.ts"
import type { Image8 } from "../../core/image/pixels.ts"
import type { ImageCaptioner } from "../../core/inference/teacher.ts"
import { ensembleIdentity } from "../../core/inference/teacher-identity.ts"
import { prefetched } from "../../core/parallel.ts"
import type { ReinforcedSample } from "../../data/reinforced/sample.ts"
import type { Truncated } from "../../host/image/picture-format.ts"
import { decodePicture } from "./picture.ts"
import { type Prepared, preparedSamples, type Report, type Stage } from "./stage.ts"

interface CaptionStageOptions {
  readonly captioners: readonly { readonly captioner: ImageCaptioner; readonly key: string }[]
  /** Images that are captioned together. */
  readonly batchSize: number
  readonly minImageSize: number
  readonly truncated?: Truncated
}

/** Pictures that are decoded at the same time. */
const parallelDecodes = 4

interface Decoded extends Prepared {
  readonly image: Image8
}

export class CaptionStage implements Stage {
  constructor(private readonly options: CaptionStageOptions) {}

  get identity(): string {
    return ensembleIdentity(this.options.captioners.map(({ captioner }) => captioner))
  }

  async *run(samples: AsyncIterable<ReinforcedSample>, report: Report): AsyncGenerator<ReinforcedSample> {
    const decoded = preparedSamples(samples, parallelDecodes, (sample) => this.decode(sample), report)
    const batches = batchesOf(decoded, this.options.batchSize)
    // The next batch is decoded while the captioner writes.
    for await (const batch of prefetched(batches, 1)) yield* await this.captioned(batch, report)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.options.captioners.map(({ captioner }) => captioner[Symbol.asyncDispose]()))
  }

  private async decode(sample: ReinforcedSample): Promise<Decoded> {
    this.requireNewKeys(sample)
    const image = await decodePicture(sample, this.options)
    return { sample, image, isCutOff: image.isCutOff === true }
  }

  private requireNewKeys({ synTexts }: ReinforcedSample): void {
    const taken = this.options.captioners.find(({ key }) => synTexts.has(key))
    if (taken) throw new UserError(`it has ${taken.key} already: another --tag-suffix keeps both`)
  }

  private async captioned(batch: readonly Decoded[], report: Report): Promise<ReinforcedSample[]> {
    const images = batch.map(({ image }) => image)
    const keys = batch.map(({ sample }) => sample.key)
    const added = new Map<string, string[][]>()
    for (const { captioner, key } of this.options.captioners) added.set(key, await captioner.caption(images, keys))
    return batch.map(({ sample }, i) => {
      const synTexts = new Map<string, readonly string[]>(sample.synTexts)
      for (const [key, captions] of added) {
        synTexts.set(key, captions[i]!)
        reportEmpty(sample.key, key, captions[i]!, report)
      }
      return { ...sample, synTexts }
    })
  }
}

/** A captioner may end at once, or begin with a full stop; the number of captions stays what was asked for. */
function reportEmpty(sample: string, key: string, captions: readonly string[], report: Report): void {
  const empty = captions.filter((caption) => caption === "").length
  if (empty > 0) report({ key: sample, reason: `${empty} of its captions in ${key} are empty`, action: "kept" })
}
