/** The views of a sample's picture that teachers look at: drawn anew, or made again from stored parameters. */
import { UserError } from "../../core/errors.ts"
import type { Preprocessing } from "../../core/image/preprocess.ts"
import type { StoredAugmentation } from "../../data/augment/augmentation.ts"
import type { AugmentationConfig } from "../../data/augment/config.ts"
import { ViewPool } from "../../data/augment/pool.ts"
import type { ReinforcedSample } from "../../data/reinforced/sample.ts"
import type { Truncated } from "../../host/image/picture-format.ts"
import { requireSize } from "./picture.ts"

interface Views {
  readonly augmentations: readonly StoredAugmentation[]
  /** For each target, normalised [views, 3, size, size]. */
  readonly pixels: readonly Float32Array<ArrayBuffer>[]
  /** Only a part of the picture is there. */
  readonly isCutOff: boolean
}

export interface ViewSource extends AsyncDisposable {
  /** Samples that it can be asked for at the same time. */
  readonly parallel: number
  /**
   * @param views how many to draw, or the parameters of those to make again
   * @param targets size and normalisation of each kind of pixels; a view is cropped and resized to each size anew
   * @throws UserError where the picture is missing, damaged, animated or too small
   */
  make(
    sample: ReinforcedSample,
    views: number | readonly StoredAugmentation[],
    targets: readonly Preprocessing[],
  ): Promise<Views>
  /** Takes pixels back that nobody looks at any more, to be filled with other views. */
  recycle(views: Views): void
}

interface DrawnViewsOptions {
  readonly config: Pick<AugmentationConfig, "randomResizedCrop" | "randAugment">
  readonly seed: number
  readonly minImageSize: number
  readonly truncated?: Truncated
  /** Threads beside this one that decode and augment; 0: this one does it. */
  readonly threads: number
}

/** Views of a sample depend on the seed and its key alone, not on the order of samples or who makes them. */
export class DrawnViews implements ViewSource {
  readonly parallel: number
  private readonly pool: ViewPool

  constructor(private readonly options: DrawnViewsOptions) {
    this.pool = new ViewPool(options.threads)
    this.parallel = Math.max(1, 2 * options.threads)
  }

  async make(
    { key, image }: ReinforcedSample,
    views: number | readonly StoredAugmentation[],
    targets: readonly Preprocessing[],
  ): Promise<Views> {
    if (!image) throw new UserError("it has no picture")
    const { config, seed, minImageSize, truncated = "accept" } = this.options
    const { interpolation } = config.randomResizedCrop
    const made = await this.pool.make({
      name: "its picture",
      bytes: image.bytes,
      views: typeof views === "number" ? { count: views, config, seed, path: ["augment", key] } : views,
      targets: targets.map((target) => ({ ...target, interpolation })),
      animated: "refuse",
      truncated,
    })
    requireSize(made.size, minImageSize)
    return made
  }

  recycle(views: Views): void {
    this.pool.recycle(views)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool[Symbol.asyncDispose]()
  }
}
