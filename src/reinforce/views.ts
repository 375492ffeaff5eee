/** The views of a sample's picture that teachers look at: drawn anew, or made again from stored parameters. */
import type { Image8 } from "../core/pixels.ts"
import type { Preprocessing } from "../core/preprocess.ts"
import { Random } from "../core/random.ts"
import { augmentedPixels } from "../data/augment/apply.ts"
import type { StoredAugmentation } from "../data/augment/augmentation.ts"
import type { AugmentationConfig } from "../data/augment/config.ts"
import { drawAugmentation } from "../data/augment/draw.ts"
import type { ReinforcedSample } from "../data/reinforced/sample.ts"
import { decodePicture } from "./picture.ts"

export interface Views {
  readonly augmentations: readonly StoredAugmentation[]
  /** Of each target, normalised [views, 3, size, size]. */
  readonly pixels: readonly Float32Array[]
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
}

export interface DrawnViewsOptions {
  readonly config: Pick<AugmentationConfig, "randomResizedCrop" | "randAugment">
  readonly seed: number
  readonly minImageSize: number
  /** Threads beside this one that decode and augment; 0: this one does it. */
  readonly threads: number
}

/** Views of a sample depend on the seed and its key alone, not on the order of samples or who makes them. */
export class DrawnViews implements ViewSource {
  readonly parallel: number

  constructor(private readonly options: DrawnViewsOptions) {
    this.parallel = Math.max(1, 2 * options.threads)
  }

  async make(
    sample: ReinforcedSample,
    views: number | readonly StoredAugmentation[],
    targets: readonly Preprocessing[],
  ): Promise<Views> {
    const image = await decodePicture(sample, this.options)
    const augmentations = typeof views === "number" ? this.draw(image, sample.key, views) : views
    const { interpolation } = this.options.config.randomResizedCrop
    return {
      augmentations,
      pixels: targets.map((target) => pixelsOf(image, augmentations, { ...target, interpolation })),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  private draw(image: Image8, key: string, count: number): StoredAugmentation[] {
    const random = Random.of(this.options.seed, "augment", key)
    return Array.from({ length: count }, () => drawAugmentation(this.options.config, image, random))
  }
}

function pixelsOf(image: Image8, augmentations: readonly StoredAugmentation[], target: Preprocessing): Float32Array {
  const size = 3 * target.size * target.size
  const pixels = new Float32Array(augmentations.length * size)
  for (const [i, augmentation] of augmentations.entries()) {
    augmentedPixels(image, augmentation, target, pixels.subarray(i * size, (i + 1) * size), "its picture")
  }
  return pixels
}
