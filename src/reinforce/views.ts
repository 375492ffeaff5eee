/** The views of a sample's picture that teachers look at: drawn anew, or made again from stored parameters. */
import type { Preprocessing } from "../core/preprocess.ts"
import type { StoredAugmentation } from "../data/augment/augmentation.ts"
import type { ReinforcedSample } from "../data/reinforced/sample.ts"

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
